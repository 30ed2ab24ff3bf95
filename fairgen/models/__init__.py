"""Whatever makes pictures: the contract (`Model`), and the kinds of model that fulfil it."""
