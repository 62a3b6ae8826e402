//! What the kernel tells about time and about being disturbed. Linux only, as the measurements are.

use std::{mem::MaybeUninit, os::fd::AsRawFd as _};

/// CPU time of all threads of this process so far, in nanoseconds.
pub fn process_cpu_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one `timespec` to a place that is one.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// How often the kernel has taken the processor away from this thread.
pub fn preemptions() -> i64 {
    usage(libc::RUSAGE_THREAD).ru_nivcsw
}

fn usage(whose: i32) -> libc::rusage {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel writes one `rusage` to a place that is one.
    unsafe { libc::getrusage(whose, usage.as_mut_ptr()) };
    // SAFETY: all zeros is a value of this plain C struct, so it is initialised even if the call failed.
    unsafe { usage.assume_init() }
}

/// Keeps this thread on one processor, counted from 0 and around.
pub fn pin(processor: usize) {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: all zeros is the empty set, the index is below the set's size on any machine that can run this, and the
    // kernel only reads the set. A refusal leaves the thread where it was, which the windows' filter notices.
    unsafe {
        libc::CPU_SET(processor % count, set.assume_init_mut());
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), set.as_ptr());
    }
}

/// Resident memory of this process, in bytes.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    kibibytes
        .and_then(|number| number.trim().parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// Sends standard error nowhere, for a case that logs to it as a program does.
pub fn silence_standard_error() -> std::io::Result<()> {
    let nowhere = std::fs::File::options().write(true).open("/dev/null")?;
    // SAFETY: both descriptors are open, and the kernel replaces the second one in one step.
    match unsafe { libc::dup2(nowhere.as_raw_fd(), libc::STDERR_FILENO) } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers() {
        let before = process_cpu_ns();
        let mut sum = 0_u64;
        while process_cpu_ns() == before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(process_cpu_ns() > before);
        assert!(preemptions() >= 0);
        assert!(resident_bytes() > 100_000);
    }
}
