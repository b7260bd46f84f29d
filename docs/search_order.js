// In what order the search shows what it finds: the numbers are Sphinx's own, but that guides come before members of
// classes that happen to have a word in their names, and the history of changes comes last.
var Scorer = {
  score: ([page, title, anchor, description, score]) =>
    page === "changelog" ? score - 10 : page.startsWith("reference/") ? score : score + 10,
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: {0: 15, 1: 5, 2: -5},
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
