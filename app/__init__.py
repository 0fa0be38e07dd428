"""The API process. It never imports Keras."""
