//! Which system calls can be made, enforced by a seccomp filter.
//!
//! It is an allowlist of what is needed once everything is open. What could harm the host is not on
//! it: starting a program, inspecting or signalling another process, mounting, gaining a privilege.
//! A call that is not listed fails with EPERM. A call newer than the list fails with ENOSYS, as on
//! an older system, so that libraries use their fallback.
//!
//! Most entries depend on the call's number alone. The kernel caches the verdicts on these, so they
//! cost next to nothing. It does not count refusals, and reports them only to its audit log.

use nix::libc;
use seccompiler::{apply_filter_all_threads, sock_filter};

/// The instruction set as filters see it (`AUDIT_ARCH_*`). None where no list was tested.
const ARCHITECTURE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0xc000_003e)
} else if cfg!(target_arch = "aarch64") {
    Some(0xc000_00b7)
} else if cfg!(target_arch = "riscv64") {
    Some(0xc000_00f3)
} else if cfg!(target_arch = "x86") {
    Some(0x4000_0003)
} else {
    None
};

/// The highest number that this list knows: that of `cachestat`, Linux 6.5.
const LAST_KNOWN: u32 = 451;

/// What is needed on all architectures.
const EVERYWHERE: &[libc::c_long] = &[
    // Bytes, files and folders.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_openat,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_statfs,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_unlinkat,
    libc::SYS_fcntl,
    libc::SYS_pipe2,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_rm_watch,
    // The network, and waiting for it.
    libc::SYS_socketpair,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    // Threads and time.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // The process's own signals.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Information about the process and the system.
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrusage,
    libc::SYS_getrandom,
    libc::SYS_uname,
    libc::SYS_sysinfo,
];

/// Older calls, which newer architectures lack, and calls that have other names there.
#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
const OLDER: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_unlink,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_epoll_wait,
    libc::SYS_poll,
    libc::SYS_time,
    libc::SYS_getrlimit,
];
#[cfg(not(any(target_arch = "x86_64", target_arch = "x86")))]
const OLDER: &[libc::c_long] = &[];

/// What differs in name or number between architectures.
#[cfg(target_arch = "x86_64")]
const OWN: &[libc::c_long] = &[libc::SYS_accept, libc::SYS_newfstatat, libc::SYS_rseq];
#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
const OWN: &[libc::c_long] = &[libc::SYS_accept, libc::SYS_newfstatat, libc::SYS_rseq];
/// Those numbered 403 and above take 64-bit times: `clock_gettime64` and its kind.
#[cfg(target_arch = "x86")]
const OWN: &[libc::c_long] = &[
    libc::SYS__llseek,
    libc::SYS__newselect,
    libc::SYS_fcntl64,
    libc::SYS_stat64,
    libc::SYS_lstat64,
    libc::SYS_fstat64,
    libc::SYS_fstatat64,
    libc::SYS_statfs64,
    libc::SYS_fstatfs64,
    libc::SYS_ugetrlimit,
    libc::SYS_getuid32,
    libc::SYS_geteuid32,
    libc::SYS_getgid32,
    libc::SYS_getegid32,
    libc::SYS_sigreturn,
    libc::SYS_set_thread_area,
    libc::SYS_socketcall,
    386, // rseq
    403, // clock_gettime64
    406, // clock_getres_time64
    407, // clock_nanosleep_time64
    413, // pselect6_time64
    414, // ppoll_time64
    417, // recvmmsg_time64
    422, // futex_time64
];
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64",
    target_arch = "x86"
)))]
const OWN: &[libc::c_long] = &[];

/// Calls that map memory or protect it; their third argument is the access.
#[cfg(target_arch = "x86")]
const MAPS: &[libc::c_long] = &[libc::SYS_mmap2, libc::SYS_mprotect];
#[cfg(not(target_arch = "x86"))]
const MAPS: &[libc::c_long] = &[libc::SYS_mmap, libc::SYS_mprotect];

/// When a call is allowed.
enum When {
    /// This argument has one of these values.
    Is(u32, Vec<u32>),
    /// Every condition in at least one of these lists holds.
    OneOf(Vec<Vec<Argument>>),
    /// This argument has at least one of these bits.
    Has(u32, u32),
    /// It has none of these bits.
    Lacks(u32, u32),
    Always,
}

/// An argument's position, a mask, and the values that its masked bits may have.
struct Argument(u32, u32, Vec<u32>);

/// Filters the system calls of all threads. Returns how many are allowed.
///
/// # Errors
/// If the system cannot, why not.
pub(super) fn confine() -> Result<usize, String> {
    let architecture = ARCHITECTURE.ok_or("there is no list of them for this processor")?;
    let plain = EVERYWHERE.iter().chain(OLDER).chain(OWN);
    let mut calls: Vec<(libc::c_long, When)> = plain.map(|call| (*call, When::Always)).collect();
    calls.extend(on_conditions());
    let filter = filter(architecture, &calls);
    apply_filter_all_threads(&filter).map_err(|error| error.to_string())?;
    Ok(calls.len())
}

fn on_conditions() -> Vec<(libc::c_long, When)> {
    let number = |n: libc::c_int| n.unsigned_abs();
    // Requests for terminals, files and sockets, and for the names of interfaces.
    let requests = [0x5401, 0x5413, 0x541b, 0x5421, 0x5450, 0x5451, 0x8910, 0x8933];
    let mut calls = vec![
        (libc::SYS_socket, When::OneOf(sockets())),
        (libc::SYS_ioctl, When::Is(1, requests.to_vec())),
        // Naming threads and memory.
        (libc::SYS_prctl, When::Is(0, vec![number(libc::PR_SET_NAME), 0x5356_4d41])),
        // The limits of this process.
        (libc::SYS_prlimit64, When::Is(0, vec![0])),
        // Used by `abort`.
        (libc::SYS_tgkill, When::Is(0, vec![std::process::id()])),
        // Threads, but not processes.
        (libc::SYS_clone, When::Has(0, number(libc::CLONE_THREAD))),
    ];
    // Shared libraries have to be mapped as code. A static program maps none, so no memory may
    // become executable.
    let access = || match cfg!(target_feature = "crt-static") {
        true => When::Lacks(2, number(libc::PROT_EXEC)),
        false => When::Always,
    };
    calls.extend(MAPS.iter().map(|call| (*call, access())));
    calls
}

/// Sockets for listening, connecting and asking name servers, and those by which the resolver asks
/// for the addresses of the host. None can read other processes' packets, as root's could. On x86,
/// glibc uses `socketcall`, whose arguments are behind a pointer and cannot be checked: there only
/// the dropped capabilities keep root from such sockets, and nothing keeps other protocols out.
fn sockets() -> Vec<Vec<Argument>> {
    /// The other bits of the type are `SOCK_CLOEXEC` and `SOCK_NONBLOCK`.
    const TYPE: u32 = 0xf;
    let one = |position, mask, values: &[libc::c_int]| {
        Argument(position, mask, values.iter().map(|value| value.unsigned_abs()).collect())
    };
    vec![
        vec![
            one(0, u32::MAX, &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6]),
            one(1, TYPE, &[libc::SOCK_STREAM, libc::SOCK_DGRAM]),
        ],
        vec![
            one(0, u32::MAX, &[libc::AF_NETLINK]),
            one(1, TYPE, &[libc::SOCK_RAW, libc::SOCK_DGRAM]),
            one(2, u32::MAX, &[libc::NETLINK_ROUTE]),
        ],
    ]
}

/// Allows a call if all of these hold, and otherwise continues behind this program.
fn all_of(arguments: &[Argument]) -> Vec<sock_filter> {
    let length = |program: &[sock_filter]| u8::try_from(program.len()).unwrap_or(u8::MAX);
    arguments.iter().rev().fold(vec![answer(libc::SECCOMP_RET_ALLOW)], |rest, argument| {
        let Argument(position, mask, values) = argument;
        // Built backwards: a value that matches jumps to the rest, and the last comparison jumps
        // behind the program.
        let mut block = rest;
        for (index, value) in values.iter().rev().enumerate() {
            let fits = u8::try_from(index).unwrap_or(u8::MAX);
            let other = if index == 0 { length(&block) } else { 0 };
            block.insert(0, jump(EQUAL, *value, fits, other));
        }
        block.splice(0..0, [load(16 + 8 * position), only(*mask)]);
        block
    })
}

/// The filter's program. Each call has its own return, so no jump is longer than the checks of one
/// call's arguments.
fn filter(architecture: u32, calls: &[(libc::c_long, When)]) -> Vec<sock_filter> {
    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    let errno = |errno: libc::c_int| libc::SECCOMP_RET_ERRNO | errno.unsigned_abs();
    let (refuse, absent) = (answer(errno(libc::EPERM)), answer(errno(libc::ENOSYS)));
    let mut program = vec![load(4), jump(EQUAL, architecture, 1, 0), refuse.clone(), load(0)];
    program.extend([jump(GREATER, LAST_KNOWN, 0, 1), absent.clone()]);
    // The flags of `clone3` are behind a pointer. Libraries fall back to `clone`.
    program.extend([jump(EQUAL, number_of(libc::SYS_clone3), 0, 1), absent]);
    for (call, when) in calls {
        let mut rest = match when {
            When::Always => Vec::new(),
            When::Is(argument, values) => {
                let one = |value: &u32| [jump(EQUAL, *value, 0, 1), answer(ALLOW)];
                [load(16 + 8 * argument)].into_iter().chain(values.iter().flat_map(one)).collect()
            }
            When::OneOf(lists) => lists.iter().flat_map(|list| all_of(list)).collect(),
            When::Has(argument, bits) => {
                vec![load(16 + 8 * argument), jump(ANY, *bits, 0, 1), answer(ALLOW)]
            }
            When::Lacks(argument, bits) => {
                vec![load(16 + 8 * argument), jump(ANY, *bits, 1, 0), answer(ALLOW)]
            }
        };
        rest.push(if rest.is_empty() { answer(ALLOW) } else { refuse.clone() });
        let length = u8::try_from(rest.len()).unwrap_or(u8::MAX);
        program.push(jump(EQUAL, number_of(*call), 0, length));
        program.append(&mut rest);
    }
    program.push(refuse);
    program
}

/// A call's number, as the filter sees it. No call has a negative number.
fn number_of(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

/// Comparisons of the loaded value with a number.
const EQUAL: u32 = libc::BPF_JEQ;
const GREATER: u32 = libc::BPF_JGT;
/// True if they have a bit in common.
const ANY: u32 = libc::BPF_JSET;

/// Loads 32 bits of `struct seccomp_data`: the number is at 0, the architecture at 4, and the lower
/// half of argument `n` at 16 + 8 * `n`, on little-endian machines. All that [`ARCHITECTURE`] names
/// are.
fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

/// Masks the loaded value with these bits.
fn only(bits: u32) -> sock_filter {
    instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, bits, 0, 0)
}

fn jump(how: u32, number: u32, if_so: u8, otherwise: u8) -> sock_filter {
    instruction(libc::BPF_JMP | how | libc::BPF_K, number, if_so, otherwise)
}

fn answer(action: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, action, 0, 0)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    // All codes fit in 16 bits.
    sock_filter { code: u16::try_from(code).unwrap_or(0), jt, jf, k }
}
