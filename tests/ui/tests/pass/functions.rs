//! `#[instrument]` leaves a function what it was: its generics, receivers, control flow and kind.

#![deny(warnings)]

use std::{
    cell::Cell,
    fmt::Debug,
    future::Future,
    io,
    panic::Location,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use radiosonde_core::instrument;

#[instrument]
fn longest<'a, 'b: 'a, T, const N: usize>(left: &'a [T; N], right: &'b [T]) -> &'a [T]
where
    T: PartialOrd + Debug,
{
    if right.len() > N {
        return right;
    }
    left
}

/// What never ends needs no type to say so.
#[instrument]
fn serve() {
    loop {
        std::thread::yield_now();
    }
}

#[instrument]
fn stop(code: i32) {
    std::process::exit(code);
}

#[instrument]
fn give_up(why: Option<u8>) {
    match why {
        Some(why) => panic!("{why}"),
        None => unreachable!(),
    }
}

#[instrument]
fn evens<'a>(of: impl IntoIterator<Item = &'a u32> + 'a) -> impl Iterator<Item = u32> + 'a {
    of.into_iter().copied().filter(|number| number % 2 == 0)
}

#[instrument]
fn dynamic(
    mut text: String,
    (left, [right, ..]): (u8, [u8; 2]),
    _: bool,
) -> Box<dyn Fn() -> usize> {
    text.push('!');
    Box::new(move || text.len() + usize::from(left + right))
}

#[instrument]
fn lengths() -> impl Fn(&str) -> usize {
    |text| text.len()
}

#[instrument]
fn bytes(of: &[u8]) -> impl Fn(usize) -> u8 + '_ {
    move |index| of[index]
}

#[instrument]
fn unused(_n: u64) -> impl Future<Output = u64> {
    async { 1 }
}

#[instrument]
fn borrowed(text: &String) -> impl Future<Output = usize> + Send {
    async { text.len() }
}

#[instrument]
fn boxed(fail: bool) -> Pin<Box<dyn Future<Output = Result<u8, String>>>> {
    let answer = || {
        return 1;
    };
    Box::pin(async move {
        if fail {
            return Err("no".to_owned());
        }
        Ok(answer())
    })
}

#[track_caller]
#[instrument]
fn tracked() -> &'static Location<'static> {
    Location::caller()
}

#[instrument(err, ret)]
#[track_caller]
fn tracked_result(line: u32) -> Result<u32, String> {
    let one = || Ok(["1".parse::<u32>().map_err(|_| "no".to_owned())?]);
    let here = Location::caller().line();
    one().and_then(|[one]| (here == line).then_some(here + one).ok_or("another".to_owned()))
}

#[instrument]
#[track_caller]
fn tracked_early(list: &[u32]) -> Option<u32> {
    let first = list.first()?;
    if *first == 0 {
        return None;
    }
    Some(Location::caller().line())
}

#[instrument]
#[track_caller]
fn tracked_unit(list: &mut Vec<u32>) {
    list.push(Location::caller().line());
}

#[instrument]
#[track_caller]
fn tracked_iterator<'a>(list: &'a mut [u32]) -> impl Iterator<Item = &'a mut u32> + use<'a> {
    list.iter_mut()
}

#[instrument]
#[track_caller]
fn fail_at(number: u32) -> ! {
    panic!("{number}")
}

#[instrument]
#[track_caller]
fn unreachable_value(number: u32) -> Box<dyn Debug> {
    match number {
        0 => unreachable!(),
        _ => Box::new(number),
    }
}

#[instrument]
#[track_caller]
fn always_panics() -> u32 {
    panic!("always")
}

#[instrument]
fn counter<'a>(count: &'a mut u32, early: bool) -> impl FnMut(&[u8]) -> u32 + 'a {
    if early {
        *count = 10;
    }
    move |bytes| {
        *count += bytes.len() as u32;
        *count
    }
}

#[instrument(err)]
fn parse(text: &str) -> Result<u32, Box<dyn std::error::Error>> {
    if text.is_empty() {
        return Ok(0);
    }
    let number: u32 = text.parse()?;
    Ok(number)
}

#[instrument(ret)]
fn first(list: &[u8]) -> Option<&u8> {
    let first = list.first()?;
    Some(first)
}

#[instrument(ret(Display), err(Debug))]
fn kind(fail: bool) -> io::Result<&'static str> {
    if fail {
        Err(io::Error::other("no"))?;
    }
    Ok("yes")
}

/// # Safety
///
/// `number` points to a number.
#[instrument]
unsafe fn read(number: *const u32) -> u32 {
    // SAFETY: the caller promises it.
    unsafe { *number }
}

#[instrument]
extern "C" fn called_from_c(number: i32) -> i32 {
    number + 1
}

#[instrument]
fn never(stop: bool) -> ! {
    if stop {
        std::process::exit(0)
    }
    loop {}
}

#[instrument]
async fn forever(stop: Option<u32>) -> ! {
    let Some(code) = stop else {
        std::future::ready(()).await;
        loop {}
    };
    std::process::exit(code as i32)
}

#[instrument]
async fn for_good() -> ! {
    loop {
        forever(Some(0)).await;
    }
}

#[instrument]
fn recursive(depth: u32) -> u32 {
    if depth == 0 {
        0
    } else {
        1 + recursive(depth - 1)
    }
}

#[instrument]
fn local(list: &mut Vec<Rc<Cell<u8>>>) -> &mut Rc<Cell<u8>> {
    list.push(Rc::new(Cell::new(3)));
    'found: loop {
        for one in list.iter() {
            if one.get() == 3 {
                break 'found;
            }
        }
    }
    list.last_mut().expect("one was pushed")
}

struct Model<T> {
    weights: Vec<T>,
}

impl<T: Clone + Send + Sync> Model<T> {
    const SIZE: usize = 2;

    #[instrument]
    fn new(weights: &[T]) -> Self {
        Self {
            weights: weights.to_vec(),
        }
    }

    #[instrument]
    fn last_mut(&mut self) -> Option<&mut T> {
        self.weights.last_mut()
    }

    #[instrument]
    fn both<'s>(self: &'s Box<Self>, other: &'s T) -> (&'s T, &'s T) {
        (&self.weights[0], other)
    }

    #[instrument]
    fn pinned(self: Pin<&mut Self>) -> usize {
        self.weights.len() * Self::SIZE
    }

    #[instrument]
    fn into_weights(mut self) -> Vec<T> {
        self.weights.truncate(Self::SIZE);
        self.weights
    }

    #[instrument(skip(self))]
    async fn grow(&mut self, by: T) -> &T {
        self.weights.push(by);
        std::future::ready(()).await;
        &self.weights[self.weights.len() - 1]
    }
}

trait Forward {
    type Output: Debug;

    #[instrument]
    fn twice(&mut self, number: u32) -> (Self::Output, Self::Output)
    where
        Self: Sized,
    {
        (self.forward(number), self.forward(number))
    }

    fn forward(&mut self, number: u32) -> Self::Output;

    async fn later(&mut self, number: u32) -> Result<Self::Output, String>;

    fn send(&self, number: u32) -> impl Future<Output = u32> + Send;
}

impl<T: Clone + Send + Sync> Forward for Model<T> {
    type Output = usize;

    #[instrument]
    fn forward(&mut self, number: u32) -> Self::Output {
        self.weights.len() + number as usize
    }

    #[instrument(err, ret)]
    async fn later(&mut self, number: u32) -> Result<Self::Output, String> {
        let number: u32 = Err("none").or(Ok::<_, String>(number))?;
        std::future::ready(()).await;
        Ok(self.forward(number))
    }

    #[instrument]
    fn send(&self, number: u32) -> impl Future<Output = u32> + Send {
        async move { number }
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return value;
        }
    }
}

fn main() {
    let _endless: [fn(); 1] = [serve];
    let _last: (fn(i32), fn(Option<u8>)) = (stop, give_up);
    assert_eq!(longest(&[1, 2], &[3]), [1, 2]);
    assert_eq!(evens(&[1, 2, 4]).sum::<u32>(), 6);
    assert_eq!(lengths()("abc"), 3);
    assert_eq!(bytes(b"ab")(1), b'b');
    assert_eq!(block_on(unused(2)), 1);
    assert_eq!(block_on(borrowed(&"abc".to_owned())), 3);
    assert!(block_on(boxed(true)).is_err() && block_on(boxed(false)) == Ok(1));
    assert_eq!(tracked().line(), line!());
    assert_eq!(tracked_result(line!()), Ok(line!() + 1));
    assert_eq!(tracked_early(&[1]), Some(line!()));
    let mut lines = Vec::new();
    tracked_unit(&mut lines);
    assert_eq!(lines, [line!() - 1]);
    assert_eq!(tracked_iterator(&mut lines).count(), 1);
    assert!(std::panic::catch_unwind(|| fail_at(1)).is_err());
    assert!(std::panic::catch_unwind(always_panics).is_err());
    assert_eq!(format!("{:?}", unreachable_value(4)), "4");
    assert_eq!(counter(&mut 1, true)(b"ab"), 12);
    assert_eq!(dynamic("a".to_owned(), (1, [2, 3]), true)(), 5);
    assert!(parse("12").is_ok_and(|number| number == 12) && parse("x").is_err());
    assert_eq!((first(&[7]), first(&[])), (Some(&7), None));
    assert!(kind(false).is_ok() && kind(true).is_err());
    // SAFETY: the number is alive.
    assert_eq!(unsafe { read(&3) }, 3);
    assert_eq!((called_from_c(1), recursive(3)), (2, 3));
    local(&mut Vec::new()).set(4);
    let mut model = Box::new(Model::new(&[1_u8, 2]));
    *model.last_mut().expect("two weights") = 3;
    assert_eq!(model.both(&9), (&1, &9));
    assert_eq!(Pin::new(&mut *model).pinned(), 4);
    assert_eq!(*block_on(model.grow(5)), 5);
    assert_eq!(model.twice(1), (4, 4));
    assert_eq!(block_on(model.later(2)), Ok(5));
    assert_eq!(block_on(model.send(6)), 6);
    assert_eq!(model.into_weights(), [1, 3]);
    if std::env::args().count() > 9 {
        never(true);
    }
    block_on(for_good())
}
