// A call by WebRTC: the application exchanges the descriptions and watches; the sound goes to the service directly.
import { csrf, refusal, unreachable } from "./ask.js";
import { Transcript } from "./transcript.js";
import { words } from "./voice.js";

const find = (id) => document.getElementById(id);
const transcript = new Transcript("call");
const entries = new Map(); // by item
let peer = null;
let stream = null;
let place = null; // where the application is told of this call

function show(state, words) {
  find("status").dataset.state = state;
  find("status").textContent = words;
  find("call").textContent = peer ? "Hang up" : "Call";
  find("call").dataset.on = String(Boolean(peer));
}

// A beacon goes out also while the page is left; it has no headers, so Django finds its token in the body.
function tell(what, where = place) {
  const token = csrf()["X-CSRFToken"];
  if (where) navigator.sendBeacon(`${where}/${what}`, new URLSearchParams(token ? { csrfmiddlewaretoken: token } : {}));
}

function hangUp(message) {
  tell("hangup");
  place = null;
  for (const said of entries.values()) said.finish("Not finished");
  for (const track of stream ? stream.getTracks() : []) track.stop();
  if (peer) peer.close();
  peer = stream = null;
  show("idle", "Ready");
  if (message) {
    find("alert-text").textContent = message;
    find("alert").hidden = false;
  }
}

async function call() {
  find("alert").hidden = true;
  transcript.clear(); // the model of a new call knows nothing of the last one
  entries.clear();
  const mine = (peer = new RTCPeerConnection());
  show("connecting", "Calling");
  mine.ontrack = ({ streams }) => (find("sound").srcObject = streams[0]);
  mine.onconnectionstatechange = () => {
    if (mine !== peer) return;
    if (mine.connectionState === "connected") {
      tell("taken");
      show("listening", "Connected");
    }
    if (mine.connectionState === "failed") hangUp("This browser could not exchange sound with the model service. A firewall may be in the way: try another network.");
  };
  try {
    if (!navigator.mediaDevices) throw new Error("A browser gives its microphone to pages on localhost and over https only.");
    const heard = await navigator.mediaDevices.getUserMedia({ audio: true });
    if (mine !== peer) { // hung up while the browser asked for permission
      for (const track of heard.getTracks()) track.stop();
      return;
    }
    stream = heard;
    for (const track of stream.getTracks()) mine.addTrack(track, stream);
    const channel = mine.createDataChannel("oai-events");
    channel.onmessage = ({ data }) => hear(JSON.parse(data));
    channel.onclose = () => { if (mine === peer) hangUp("The call has ended."); };
    await mine.setLocalDescription(await mine.createOffer());
    const response = await fetch("/session", {
      method: "POST",
      headers: { "Content-Type": "application/sdp", ...csrf() },
      body: mine.localDescription.sdp,
    }).catch(() => { throw new Error(unreachable()); });
    if (!response.ok) throw new Error(await refusal(response));
    const sdp = await response.text();
    if (mine !== peer) { // hung up meanwhile
      tell("hangup", response.headers.get("Location"));
      return;
    }
    place = response.headers.get("Location");
    await mine.setRemoteDescription({ type: "answer", sdp });
  } catch (error) {
    if (mine === peer) hangUp(words(error));
  }
}

function entry(item, who) {
  if (!entries.has(item)) entries.set(item, transcript.add(who));
  return entries.get(item);
}

// The service's own events.
function hear(event) {
  if (event.type === "input_audio_buffer.speech_started") entry(event.item_id, "you");
  else if (event.type === "conversation.item.input_audio_transcription.completed") entry(event.item_id, "you").set(event.transcript).finish();
  else if (event.type === "response.output_audio_transcript.delta") entry(event.item_id, "model").append(event.delta);
  else if (event.type === "response.output_audio_transcript.done") entry(event.item_id, "model").finish();
}

addEventListener("pagehide", () => { if (peer) hangUp(); });
find("call").addEventListener("click", () => (peer ? hangUp() : call()));
find("dismiss").addEventListener("click", () => { find("alert").hidden = true; find("call").focus(); });
