//! Every developer command of Radiosonde.

fn main() {}
