"""What the tests of the image need: an engine, a base and a build."""
