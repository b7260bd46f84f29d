"""A tool of an application, which ``test_flask_app.py`` tests: the weather in a city, from a table."""

from __future__ import annotations

from realtime_sync import function_tool

REPORTS = {
    "London": {"sky": "rain", "celsius": 12},
    "Paris": {"sky": "clear", "celsius": 19},
    "Rome": {"sky": "clouds", "celsius": 23},
}


def station_of(city: str) -> str:
    """The city as the table has it, however it was spelled."""
    return city.strip().title()


@function_tool
def get_weather(city: str) -> dict[str, object]:
    """Tells today's weather in a city."""
    station = station_of(city)
    if station not in REPORTS:
        return {"error": f"there is no report for {station}"}
    return {"city": station, **REPORTS[station]}
