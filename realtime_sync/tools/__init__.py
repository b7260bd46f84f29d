"""Python functions as tools of the model: described, called with checked arguments, several at once, in time.

Nothing here sends or receives. From the ground up:

    docstrings    what a docstring says of a function and its parameters
    results       what a function returns, as text
    schema        type hints as JSON schema, and as words
    arguments     the model's arguments as Python values, strictly
    cancellation  telling a running function to stop
    tool          @function_tool
    calls         one call, its outcome, and the threads that calls run on
    runner        ToolRunner
"""

from realtime_sync.tools.calls import RunningCall, ToolOutcome
from realtime_sync.tools.cancellation import ToolCancellation, ToolContext
from realtime_sync.tools.runner import Tool, ToolRunner
from realtime_sync.tools.tool import FunctionTool, function_tool

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
