"""modules: thin LightningModules over retriever and generator, their data and callbacks."""
