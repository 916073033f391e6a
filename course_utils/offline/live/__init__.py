"""Live and record mode: calls pass through to the provider with the user's own key."""
