"""What must hold before something is done, and what a person should know: asked here, and nothing is changed."""
