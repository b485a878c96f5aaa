"""Labels for a student from the detections of a teacher."""
