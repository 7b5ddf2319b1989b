"""One file a chapter; adapter.report.page holds their order."""
