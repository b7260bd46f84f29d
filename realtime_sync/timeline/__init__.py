"""A recording to look at and to listen to: tables, pictures, stereo sound."""
