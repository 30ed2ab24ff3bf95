"""Makes and checks the calibration of `skin_tone`: shots of known albedo, cameras, the fit, the benchmark."""
