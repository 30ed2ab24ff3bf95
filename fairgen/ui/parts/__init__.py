"""What tabs are built of: cards, charts, pickers, lists."""
