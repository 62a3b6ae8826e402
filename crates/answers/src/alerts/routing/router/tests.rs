mod laws;
mod threads;
mod world;
