"""From files to batches: preprocessing, decoded pictures on disk, augmentation."""
