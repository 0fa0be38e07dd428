"""Translation of Keras JSON (`model.to_json()`) into specs, without deserialising anything."""
