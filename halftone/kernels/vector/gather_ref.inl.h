// kLanes floats from places of their own: behind vec_ref.inl.h.

HALFTONE_RUNG Vec gather(const float* base, const std::int32_t* places) { return base[*places]; }
