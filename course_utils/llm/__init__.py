"""What the course builds: small modules that a student can read in one sitting."""
