"""Who may ask: a Claim in, a Credential out. Key arithmetic is pure; look-ups sit behind one
interface."""
