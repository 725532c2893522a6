"""contours."""
