mod builds;
mod definitions;
mod sessions;
