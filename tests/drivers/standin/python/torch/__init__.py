"""What the step2 script needs of torch, so that its test needs no PyTorch."""

float32, float16, int32, int64, bool, uint8, int8 = "float32", "float16", "int32", "int64", "bool", "uint8", "int8"
