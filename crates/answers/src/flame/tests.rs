use proptest::prelude::*;

use super::*;

/// A stack of `function[@file[!module[#kind]]]`, the first that called the others first.
fn stack(frames: &[&str]) -> String {
    let mut text = String::new();
    for frame in frames {
        let (rest, kind) = frame.split_once('#').unwrap_or((frame, ""));
        let (rest, module) = rest.split_once('!').unwrap_or((rest, ""));
        let (function, file) = rest.split_once('@').unwrap_or((rest, ""));
        push_frame(
            &mut text,
            &Frame {
                function: function.into(),
                file: file.into(),
                line: 0,
                module: module.into(),
                kind: kind.into(),
            },
        );
    }
    text
}

/// The tree as text.
fn drawn(tree: &Tree) -> String {
    let Columns {
        parent,
        frame,
        own,
        total,
        b_total,
        ..
    } = &tree.nodes;
    let mut lines: Vec<(Vec<String>, String)> = Vec::new();
    let mut paths: Vec<Vec<String>> = Vec::new();
    for at in 0..parent.len() {
        let mut path = if at == 0 {
            Vec::new()
        } else {
            paths[parent[at]].clone()
        };
        if at > 0 {
            path.push(tree.frames[frame[at]].function.clone());
        }
        let name = path.last().map_or("all", String::as_str);
        let second = b_total
            .get(at)
            .map_or_else(String::new, |b| format!(" / {b}"));
        let indent = "  ".repeat(path.len());
        lines.push((
            path.clone(),
            format!("{indent}{name} {}{second} own {}\n", total[at], own[at]),
        ));
        paths.push(path);
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

#[test]
fn stacks_that_begin_alike_share_their_beginning() {
    let mut flame = Flame::default();
    flame.add(Side::A, &stack(&["main", "step", "matmul"]), 70);
    flame.add(Side::A, &stack(&["main", "step"]), 10);
    flame.add(Side::A, &stack(&["main", "load"]), 20);
    insta::assert_snapshot!(drawn(&flame.tree(100, false)), @r"
    all 100 own 0
      main 100 own 0
        load 20 own 20
        step 80 own 10
          matmul 70 own 70
    ");
}

#[test]
fn two_sides_are_one_tree() {
    let mut flame = Flame::default();
    flame.add(Side::A, &stack(&["main", "old"]), 70);
    flame.add(Side::B, &stack(&["main", "new"]), 30);
    flame.add(Side::B, &stack(&["main"]), 5);
    insta::assert_snapshot!(drawn(&flame.tree(100, true)), @r"
    all 70 / 35 own 0
      main 70 / 35 own 0
        new 0 / 30 own 0
        old 70 / 0 own 70
    ");
    let (functions, all) = flame.functions(2, true);
    assert_eq!(
        (functions[0].function.as_str(), functions[0].b_own, all),
        ("old", Some(0), 3)
    );
}

#[test]
fn small_nodes_are_left_out_and_counted() {
    let mut flame = Flame::default();
    for number in 1..=9 {
        flame.add(Side::A, &stack(&["main", &format!("f{number}")]), number);
    }
    let tree = flame.tree(4, false);
    assert_eq!(tree.left_out, 7);
    insta::assert_snapshot!(drawn(&tree), @r"
    all 45 own 0
      main 45 own 0
        f8 8 own 8
        f9 9 own 9
    ");
}

#[test]
fn a_function_that_calls_itself_counts_once() {
    let mut flame = Flame::default();
    flame.add(Side::A, &stack(&["main", "walk", "walk", "walk"]), 8);
    let (functions, _) = flame.functions(10, false);
    let walk = functions.iter().find(|row| row.function == "walk").unwrap();
    assert_eq!((walk.own, walk.total, walk.b_total), (8, 8, None));
}

/// Frames as [`stack`] reads them, and their libraries.
const LIBRARIES: &[(&str, &str)] = &[
    // Python.
    (
        "forward@/opt/venv/lib/python3.11/site-packages/torch/nn/modules/linear.py",
        "torch",
    ),
    ("open@/usr/lib/python3/dist-packages/PIL/Image.py", "pillow"),
    ("six@/venv/lib/python3.12/site-packages/six.py", "six"),
    ("iterencode@/usr/lib/python3.11/json/encoder.py", "json"),
    (
        "scan!/usr/lib/python3.11/lib-dynload/_json.cpython-311-x86_64-linux-gnu.so",
        "json",
    ),
    ("_find@<frozen importlib._bootstrap>#cpython", "importlib"),
    ("main@/srv/train.py#cpython", OWN_NAME),
    ("encode@json/encoder.py", "json"),
    ("open@PIL/Image.py", "pillow"),
    ("main@train.py", OWN_NAME),
    (
        "at::native::add!/venv/lib/python3.11/site-packages/torch/lib/libtorch_cpu.so",
        "torch",
    ),
    (
        "dgemm!/venv/lib/python3.11/site-packages/numpy.libs/libopenblas64_p-r0-0cf96a72.3.23.so",
        "numpy",
    ),
    (
        "_PyEval_EvalFrameDefault!/usr/bin/python3.11#native",
        "python",
    ),
    (
        "_PyEval_EvalFrameDefault!/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0",
        "python",
    ),
    // Rust.
    (
        "from_str@/usr/local/cargo/registry/src/index.crates.io-6f17d22bba15001f/serde_json-1.0.108/src/de.rs",
        "serde_json",
    ),
    (
        "poll@/usr/local/cargo/git/checkouts/tokio-rs-0a1b2c3d/9f8e7d6/tokio/src/lib.rs",
        "tokio-rs",
    ),
    (
        "push@/rustc/82e1608dfa6e0b5569232559e3d385fea5a93112/library/alloc/src/vec/mod.rs",
        "alloc",
    ),
    ("go@vendor/rand_core-0.9.3/src/lib.rs", "rand_core"),
    ("serde_json::de::from_str!/srv/app#native", "serde_json"),
    (
        "<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop!/srv/app",
        "alloc",
    ),
    // Others.
    ("memcpy!/usr/lib/x86_64-linux-gnu/libc.so.6", "libc"),
    ("read!/lib/libc-2.31.so", "libc"),
    (
        "cudaLaunchKernel!/usr/local/cuda/lib64/libcudart.so.12.4",
        "libcudart",
    ),
    ("__x64_sys_read![kernel.kallsyms]", "kernel"),
    ("do_futex#kernel", "kernel"),
    (
        "github.com/gin-gonic/gin.(*Engine).ServeHTTP!/srv/app#go",
        "github.com/gin-gonic/gin",
    ),
    (
        "runtime.mallocgc@/usr/local/go/src/runtime/malloc.go!/srv/app",
        "runtime",
    ),
    ("main.main@/src/app/main.go!/srv/app", OWN_NAME),
    (
        "ServeHTTP@/go/pkg/mod/github.com/gin-gonic/gin@v1.9.1/gin.go",
        "github.com/gin-gonic/gin",
    ),
    (
        "render@/app/node_modules/@scope/name/dist/index.js",
        "@scope/name",
    ),
    ("main!/srv/app#native", OWN_NAME),
    ("0x7f", library::UNKNOWN),
];

#[test]
fn a_frame_is_of_the_library_that_its_place_says() {
    for (frame, expected) in LIBRARIES {
        let text = stack(&[frame]);
        let frame = frames(&text).next().unwrap();
        assert_eq!(library::of(&frame), *expected, "{frame:?}");
    }
}

const OWN_NAME: &str = library::OWN;

/// A script that computes with torch for 60 %, reads JSON for 30 % and uses numpy for 10 %, as native stacks of a Python
/// process show it: most of the time is in libraries that serve others.
#[test]
fn libraries_are_ranked_by_what_is_charged_to_them() {
    const SITE: &str = "/venv/lib/python3.11/site-packages";
    let main = "main@/srv/train.py#cpython";
    let mut flame = Flame::default();
    let torch = format!("matmul@{SITE}/torch/functional.py#cpython");
    let kernel = format!("at::native::mm!{SITE}/torch/lib/libtorch_cpu.so#native");
    flame.add(Side::A, &stack(&[main, &torch, &kernel]), 35);
    flame.add(
        Side::A,
        &stack(&[main, &torch, &kernel, "memcpy!/lib/libc.so.6#native"]),
        25,
    );
    let decode = "decode@/usr/lib/python3.11/json/decoder.py#cpython";
    flame.add(
        Side::A,
        &stack(&[
            main,
            decode,
            "scan_once!/usr/lib/python3.11/lib-dynload/_json.cpython-311.so#native",
        ]),
        18,
    );
    flame.add(
        Side::A,
        &stack(&[
            main,
            decode,
            "PyUnicode_New!/usr/bin/python3.11#native",
            "brk![kernel.kallsyms]#kernel",
        ]),
        12,
    );
    flame.add(
        Side::A,
        &stack(&[
            main,
            &format!("dot@{SITE}/numpy/linalg.py#cpython"),
            "dgemm!/lib/libc.so.6#native",
        ]),
        10,
    );
    let rows: Vec<_> = flame
        .libraries(false)
        .into_iter()
        .map(|row| {
            format!(
                "{:<10} charged {:>3} own {:>3} total {:>3}",
                row.library, row.charged, row.own, row.total
            )
        })
        .collect();
    insta::assert_snapshot!(rows.join("\n"), @r"
    torch      charged  60 own  35 total  60
    json       charged  30 own  18 total  30
    numpy      charged  10 own   0 total  10
    (program)  charged   0 own   0 total 100
    libc       charged   0 own  35 total  35
    kernel     charged   0 own  12 total  12
    python     charged   0 own   0 total  12
    ");
}

#[test]
fn a_stack_of_nothing_is_of_nobody() {
    let mut flame = Flame::default();
    flame.add(Side::A, "", 5);
    assert_eq!(flame.total(), [5, 0]);
    assert_eq!(flame.libraries(false)[0].library, library::UNKNOWN);
    assert_eq!(charged_to(std::iter::empty()), library::UNKNOWN);
}

proptest! {
    #[test]
    fn any_frame_is_read_back(function in "\\PC{1,20}", file in "\\PC{0,20}", line in 0_u64..100_000, module in "\\PC{0,9}", kind in "[a-z]{0,5}") {
        let frame = Frame { function: function.into(), file: file.into(), line, module: module.into(), kind: kind.into() };
        let mut text = String::new();
        push_frame(&mut text, &frame);
        push_frame(&mut text, &Frame::named("leaf"));
        let read: Vec<_> = frames(&text).collect();
        prop_assert_eq!(read, [frame, Frame::named("leaf")]);
    }

    /// Whatever the stacks are: nothing is lost, parents hold their children, order does not matter.
    #[test]
    fn sums_hold_for_any_stacks(
        stacks in proptest::collection::vec((proptest::collection::vec("[a-d]", 0..6), 0_i64..1000, any::<bool>()), 0..40),
        nodes_max in 1_usize..60,
    ) {
        let build = |stacks: &[(Vec<String>, i64, bool)]| {
            let mut flame = Flame::default();
            for (names, value, is_second) in stacks {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                flame.add(if *is_second { Side::B } else { Side::A }, &stack(&names), *value);
            }
            flame
        };
        let flame = build(&stacks);
        let all: i64 = stacks.iter().filter(|stack| !stack.2).map(|stack| stack.1).sum();
        let whole = flame.tree(usize::MAX, true);
        prop_assert_eq!(whole.nodes.total[0], all);
        prop_assert_eq!(whole.nodes.own.iter().sum::<i64>(), all);
        prop_assert_eq!(flame.libraries(true).iter().map(|row| row.charged).sum::<i64>(), all);
        prop_assert_eq!(flame.libraries(true).iter().map(|row| row.own).sum::<i64>(), all);
        let tree = flame.tree(nodes_max, true);
        prop_assert!(tree.nodes.parent.len() <= nodes_max);
        prop_assert_eq!(tree.nodes.parent.len() + tree.left_out, whole.nodes.parent.len());
        let mut children = vec![0; tree.nodes.parent.len()];
        for at in 1..tree.nodes.parent.len() {
            prop_assert!(tree.nodes.parent[at] < at);
            children[tree.nodes.parent[at]] += tree.nodes.total[at];
        }
        for (at, sum) in children.into_iter().enumerate() {
            prop_assert!(sum + tree.nodes.own[at] <= tree.nodes.total[at]);
        }
        let mut reversed = stacks;
        reversed.reverse();
        let again = build(&reversed);
        prop_assert_eq!(drawn(&again.tree(usize::MAX, true)), drawn(&whole));
        prop_assert_eq!(again.libraries(true), flame.libraries(true));
        prop_assert_eq!(again.functions(9, true), flame.functions(9, true));
    }
}
