"""Python functions as tools of the model: described, called with checked arguments, several at once, in time.

From the ground up; all but the last two neither send nor receive:

    docstrings    what a docstring contains about a function and its parameters
    results       what a function returns, as text
    fields        parameters of functions and fields of classes
    hints         type hints as JSON schema, as words, and as what makes Python values of the model's arguments
    cancellation  asking a running function to stop
    tool          @function_tool
    calls         one call, its outcome, and the threads that calls run on
    runner        ToolRunner
    rounds        asking, answering what the response calls, and asking again: one loop for all
    serving       calls in responses for which nobody waits: run_tools, and the functions of a session
"""

from typing import TYPE_CHECKING

from realtime_sync.lazy import lazily

if TYPE_CHECKING:
    from realtime_sync.tools.calls import RunningCall, ToolOutcome
    from realtime_sync.tools.cancellation import ToolCancellation, ToolContext
    from realtime_sync.tools.runner import Tool, ToolRunner
    from realtime_sync.tools.tool import FunctionTool, function_tool
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "calls": "RunningCall ToolOutcome",
            "cancellation": "ToolCancellation ToolContext",
            "runner": "Tool ToolRunner",
            "tool": "FunctionTool function_tool",
        },
    )

__all__ = [
    "FunctionTool",
    "RunningCall",
    "Tool",
    "ToolCancellation",
    "ToolContext",
    "ToolOutcome",
    "ToolRunner",
    "function_tool",
]
