"""The service of the main port: requests to servers, answers back."""
