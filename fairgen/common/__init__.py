"""What every part may use: files, texts, documents, the files that ship with fairgen."""
