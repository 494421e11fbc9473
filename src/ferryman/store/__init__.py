"""What databases know, for `auth` to ask; decides nothing."""
