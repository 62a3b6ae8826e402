use std::{
    fs::{self, File, OpenOptions},
    sync::{Mutex, MutexGuard, PoisonError},
};

use proptest::{collection::vec, prelude::*};

use super::*;

/// Loss counters belong to the process, so tests that read them take turns.
pub(in crate::exporter) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In memory where there is such a file system: what is tested is order and loss, not how long a disk takes to sync.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

fn config(folder: &tempfile::TempDir, bytes_max: u64, memory_bytes_max: usize) -> SpoolConfig {
    SpoolConfig {
        folder: Some(folder.path().to_owned()),
        bytes_max,
        memory_bytes_max,
    }
}

/// A payload that can be told from all others.
fn payload(id: u64, length: usize) -> Payload {
    let mut body = id.to_le_bytes().to_vec();
    body.resize(8 + length, id as u8);
    Payload {
        tag: id as u8,
        records: 1,
        body,
    }
}

fn id(payload: &Payload) -> u64 {
    let id = u64::from_le_bytes(payload.body[..8].try_into().unwrap());
    assert_eq!((payload.tag, payload.records), (id as u8, 1));
    assert!(payload.body[8..].iter().all(|&byte| byte == id as u8));
    id
}

fn drain(spool: &mut Spool) -> Vec<u64> {
    let mut ids = Vec::new();
    while let Some(payload) = spool.take() {
        ids.push(id(&payload));
        spool.done();
    }
    ids
}

fn files(folder: &tempfile::TempDir) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder.path().join("there").join("0"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "spool")
        })
        .collect();
    files.sort();
    files
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Push(usize),
    /// The destination takes the oldest.
    Deliver,
    /// The destination is away.
    Fail,
    /// Payloads come while one is out; then it is delivered or not.
    PushWhileOut(usize, usize, bool),
    Restart,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => prop_oneof![0_usize..300, 600_usize..900].prop_map(Step::Push),
        3 => Just(Step::Deliver),
        2 => Just(Step::Fail),
        2 => (0_usize..300, 1_usize..12, any::<bool>()).prop_map(|(length, count, taken)| Step::PushWhileOut(length, count, taken)),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_happens_order_is_kept_and_what_is_not_dropped_arrives_once(
        steps in vec(any_step(), 1..120), bytes_max in 700_u64..6000, memory_bytes_max in 400_usize..2000,
    ) {
        let _turn = turn();
        let folder = folder();
        let config = config(&folder, bytes_max, memory_bytes_max);
        let dropped_before = loss::total(Lost::SpoolFull);
        let mut spool = Spool::open(&config, "there");
        let (mut pushed, mut delivered) = (0, Vec::new());
        for step in steps {
            match step {
                Step::Push(length) => {
                    spool.push(payload(pushed, length));
                    pushed += 1;
                }
                Step::Deliver => if let Some(payload) = spool.take() {
                    delivered.push(id(&payload));
                    spool.done();
                },
                Step::Fail => if spool.take().is_some() {
                    spool.put_back();
                },
                Step::PushWhileOut(length, count, taken) => {
                    let out = spool.take();
                    for _ in 0..count {
                        spool.push(payload(pushed, length));
                        pushed += 1;
                    }
                    if let Some(out) = out {
                        if taken {
                            delivered.push(id(&out));
                            spool.done();
                        } else {
                            spool.put_back();
                        }
                    }
                }
                Step::Restart => {
                    assert_eq!(spool.persist(), 0);
                    drop(spool);
                    spool = Spool::open(&config, "there");
                }
            }
            let fault = spool.take_fault();
            assert!(fault.as_ref().is_none_or(|fault| fault.0.starts_with("the spool is full")), "{fault:?}");
            let on_disk: u64 = files(&folder).iter().map(|path| path.metadata().unwrap().len()).sum();
            assert!(on_disk <= bytes_max, "{on_disk} bytes of files");
            let dropped = loss::total(Lost::SpoolFull) - dropped_before;
            assert_eq!(pushed, delivered.len() as u64 + dropped + spool.waiting().records, "{:?}", spool.waiting());
        }
        delivered.extend(drain(&mut spool));
        prop_assert!(delivered.is_sorted_by(|a, b| a < b), "{delivered:?}");
        let dropped = loss::total(Lost::SpoolFull) - dropped_before;
        prop_assert_eq!(delivered.len() as u64 + dropped, pushed);
        prop_assert!(spool.is_empty());
        prop_assert_eq!(files(&folder).len(), 0);
    }

    #[test]
    fn a_file_cut_or_damaged_anywhere_gives_back_whole_payloads_only(cut in 0_usize..2000, flip in 0_usize..2000, bit in 0_u8..8) {
        let _turn = turn();
        let folder = folder();
        let config = config(&folder, 1 << 20, 1 << 20);
        let mut spool = Spool::open(&config, "there");
        (0..10).for_each(|id| spool.push(payload(id, 100)));
        spool.persist();
        drop(spool);
        let file = &files(&folder)[0];
        let mut bytes = fs::read(file).unwrap();
        bytes.truncate(cut.max(1));
        if let Some(byte) = bytes.get_mut(flip) {
            *byte ^= 1 << bit;
        }
        fs::write(file, bytes).unwrap();
        let before = loss::total(Lost::WriteFailed);
        let mut spool = Spool::open(&config, "there");
        let ids = drain(&mut spool);
        prop_assert!(ids.is_sorted_by(|a, b| a < b) && ids.len() <= 10);
        let whole = cut.clamp(1, 1320) / 132;
        prop_assert!(ids.len() <= whole);
        if flip >= cut && whole * 132 != cut.max(1) && cut < 1320 {
            prop_assert_eq!(ids.len(), whole);
            prop_assert_eq!(loss::total(Lost::WriteFailed) - before, 1);
        }
    }
}

#[test]
fn what_follows_a_torn_frame_does_not_come_back_behind_what_is_appended() {
    let _turn = turn();
    let folder = folder();
    let config = config(&folder, 1 << 20, 1 << 20);
    let mut spool = Spool::open(&config, "there");
    (0..3).for_each(|id| spool.push(payload(id, 10)));
    assert_eq!(spool.persist(), 0);
    drop(spool);
    let file = &files(&folder)[0];
    let mut bytes = fs::read(file).unwrap();
    let frame = bytes.len() / 3;
    bytes[frame] ^= 1;
    fs::write(file, bytes).unwrap();
    let mut spool = Spool::open(&config, "there");
    assert_eq!(fs::metadata(file).unwrap().len(), frame as u64);
    spool.push(payload(3, 10));
    drop(spool);
    assert_eq!(drain(&mut Spool::open(&config, "there")), [0, 3]);
}

#[test]
fn a_file_that_cannot_be_opened_for_now_waits() {
    let _turn = turn();
    let folder = folder();
    let config = config(&folder, 1 << 20, 1 << 20);
    let mut spool = Spool::open(&config, "there");
    (0..3).for_each(|id| spool.push(payload(id, 10)));
    assert_eq!(spool.persist(), 0);
    drop(spool);
    let mut spool = Spool::open(&config, "there");
    let before = loss::total(Lost::WriteFailed);
    let file = files(&folder).remove(0);
    let away = folder.path().join("away");
    fs::rename(&file, &away).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(spool.take(), None);
    let (fault, dropped) = spool.take_fault().unwrap();
    assert!(fault.starts_with("cannot open spool"), "{fault}");
    assert_eq!((dropped, spool.waiting().records), (0, 3));
    fs::remove_dir(&file).unwrap();
    fs::rename(&away, &file).unwrap();
    assert_eq!(drain(&mut spool), [0, 1, 2]);
    assert_eq!(loss::total(Lost::WriteFailed), before);
}

#[test]
fn a_destination_that_is_there_costs_no_file() {
    let _turn = turn();
    let folder = folder();
    let mut spool = Spool::open(&config(&folder, 1 << 20, 1 << 20), "there");
    for id in 0..100 {
        spool.push(payload(id, 10));
        assert!(spool.take().is_some());
        spool.done();
    }
    assert_eq!(files(&folder).len(), 0);
}

#[test]
fn what_a_dead_process_left_is_sent_by_the_next_even_from_a_second_folder() {
    let _turn = turn();
    let folder = folder();
    let config = config(&folder, 1 << 20, 1 << 20);
    let mut first = Spool::open(&config, "there");
    let mut second = Spool::open(&config, "there");
    for (spool, base) in [(&mut first, 0), (&mut second, 100)] {
        (base..base + 5).for_each(|id| spool.push(payload(id, 10)));
        // One was delivered, one was out and is put back: all is on disk, no orderly end follows.
        spool.take();
        spool.done();
        spool.take();
        spool.put_back();
    }
    drop((first, second));
    let mut next = Spool::open(&config, "there");
    assert_eq!(next.waiting().records, 8);
    assert_eq!(drain(&mut next), [1, 2, 3, 4, 101, 102, 103, 104]);
    assert_eq!(drain(&mut Spool::open(&config, "there")), [0; 0]);
}

#[test]
fn a_folder_that_cannot_be_made_leaves_bounded_memory_and_a_fault() {
    let _turn = turn();
    let folder = folder();
    let file = folder.path().join("a file, not a folder");
    File::create(&file).unwrap();
    let config = SpoolConfig {
        folder: Some(file),
        bytes_max: 1 << 20,
        memory_bytes_max: 1000,
    };
    let before = loss::total(Lost::SpoolFull);
    let mut spool = Spool::open(&config, "there");
    let (fault, _) = spool.take_fault().unwrap();
    assert!(
        fault.contains("cannot write spool") && fault.contains("memory stands in"),
        "{fault}"
    );
    (0..20).for_each(|id| spool.push(payload(id, 92)));
    assert_eq!(loss::total(Lost::SpoolFull) - before, 10);
    assert_eq!(drain(&mut spool), [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_leaves_bounded_memory_a_fault_and_the_order() {
    let _turn = turn();
    let folder = folder();
    let mut spool = Spool::open(&config(&folder, 1 << 20, 1000), "there");
    spool.push(payload(0, 92));
    spool.take();
    spool.put_back();
    let real = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&files(&folder)[0])
        .unwrap();
    // Every write to /dev/full fails as on a full disk.
    let full = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/full")
        .unwrap();
    spool
        .disk
        .as_mut()
        .unwrap()
        .newest()
        .unwrap()
        .replace_file(full);
    let before = loss::total(Lost::SpoolFull);
    (1..=12).for_each(|id| spool.push(payload(id, 92)));
    let (fault, _) = spool.take_fault().unwrap();
    assert!(fault.contains("No space left on device"), "{fault}");
    assert_eq!(loss::total(Lost::SpoolFull) - before, 2);
    spool
        .disk
        .as_mut()
        .unwrap()
        .newest()
        .unwrap()
        .replace_file(real);
    assert_eq!(drain(&mut spool), [0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
}

#[test]
fn a_write_that_fails_after_room_was_made_loses_nothing_uncounted() {
    for taken in [true, false] {
        let _turn = turn();
        let folder = folder();
        let mut spool = Spool::open(&config(&folder, 1000, 1 << 20), "there");
        spool.push(payload(0, 92));
        spool.take();
        spool.put_back();
        (1..8).for_each(|id| spool.push(payload(id, 92)));
        let before = loss::total(Lost::SpoolFull);
        let waiting = spool.waiting().records;
        let out = id(&spool.take().unwrap());
        let away = folder.path().join("gone");
        fs::rename(folder.path().join("there"), &away).unwrap();
        // Room is made by the segment of the payload that is out, and no new segment can be made.
        spool.push(payload(8, 92));
        assert!(
            spool
                .take_fault()
                .is_some_and(|fault| fault.0.contains("cannot write"))
        );
        fs::rename(&away, folder.path().join("there")).unwrap();
        let mut delivered = 0;
        if taken {
            spool.done();
            delivered += 1;
        } else {
            spool.put_back();
        }
        let ids = drain(&mut spool);
        assert!(ids.iter().all(|&id| id > out), "{ids:?} after {out}");
        delivered += ids.len() as u64;
        let dropped = loss::total(Lost::SpoolFull) - before;
        assert_eq!(delivered + dropped, waiting + 1, "{ids:?} {dropped}");
    }
}

#[test]
fn a_folder_that_can_be_used_later_is_used_then() {
    let _turn = turn();
    let folder = folder();
    let place = folder.path().join("place");
    let config = |folder| SpoolConfig {
        folder: Some(folder),
        bytes_max: 1 << 20,
        memory_bytes_max: 1 << 20,
    };
    // Somebody was here before.
    let mut earlier = Spool::open(&config(place.clone()), "there");
    earlier.push(payload(0, 10));
    assert_eq!(earlier.persist(), 0);
    drop(earlier);
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&place, &elsewhere).unwrap();
    File::create(&place).unwrap();
    let mut spool = Spool::open(&config(place.clone()), "there");
    (1..4).for_each(|id| spool.push(payload(id, 10)));
    spool.take();
    assert_eq!(spool.persist(), 3);
    fs::remove_file(&place).unwrap();
    fs::rename(&elsewhere, &place).unwrap();
    // What is on the disk is older than what is out: it stays where it is until that is back.
    assert_eq!(spool.persist(), 3);
    spool.disk_pause_until = None;
    spool.put_back();
    assert_eq!((spool.persist(), spool.waiting().records), (0, 4));
    assert_eq!(drain(&mut spool), [0, 1, 2, 3]);
}
