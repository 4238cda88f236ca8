"""What a training of products gives, in every digit."""
