"""What runs behind the tabs: jobs, live sets, the folders of visits."""
