//! What a confined process may not touch.
//!
//! Files are closed off by Landlock (Linux 5.13 or newer). The process reads the system's programs and
//! libraries, writes only to the files it was handed open, and cannot look into other processes. Another
//! program is not run without it, unless the operator allows that. The gateway's own code runs without
//! it where the kernel has none: a system call filter refuses that code to open files at all. The filter
//! also refuses sockets, new processes, signals to other processes and memory beyond the limit. Without
//! it nothing is run.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    RulesetStatus, Scope, path_beneath_rules,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Qword, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// The newest Landlock version that is used. An older kernel applies the part that it knows.
const LANDLOCK: ABI = ABI::V6;
/// What the process may read: programs, libraries, and the number of cores.
const READ: [&str; 12] = [
    "/usr",
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/gnu/store",
    "/etc/ld.so.cache",
    "/dev/zero",
    "/dev/urandom",
    "/sys/devices/system/cpu",
    "/proc/cpuinfo",
];
/// What it may write.
const WRITTEN: [&str; 1] = ["/dev/null"];

/// Why no other program is run.
pub(crate) const NO_LANDLOCK: &str =
    "this kernel has no Landlock, which would close the file system";

/// Applies the limits on files and system calls to this thread, for good. `program` is the program that
/// will run; `landlock`: whether the kernel has to close the file system.
pub(super) fn raise(program: Option<&Path>, landlock: bool) -> anyhow::Result<()> {
    let closed = files(program).context("closing the file system")?;
    anyhow::ensure!(closed || !landlock, NO_LANDLOCK);
    for filter in [calls(program.is_none())?, thread_call()?] {
        seccompiler::apply_filter(&filter).context("filtering system calls")?;
    }
    Ok(())
}

/// Closes the file system. Returns false if the kernel cannot.
fn files(program: Option<&Path>) -> anyhow::Result<bool> {
    // A program outside the system folders has its libraries beside its own folder.
    let beside = program
        .and_then(Path::parent)
        .and_then(Path::parent)
        .map(|root| root.join("lib"));
    let read = READ.map(Path::new).into_iter().chain(program);
    let read = read.chain(beside.as_deref());
    let both = AccessFs::ReadFile | AccessFs::WriteFile;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        .add_rules(path_beneath_rules(read, AccessFs::from_read(LANDLOCK)))?
        .add_rules(path_beneath_rules(WRITTEN, both))?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// Calls that open, change or delete files by their names. The gateway's own code needs none of them.
const BY_NAME: [i64; 8] = [
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_mkdirat,
    libc::SYS_linkat,
];

/// Returns the filter of refused system calls. `own`: whether the gateway's own code runs, and no other
/// program.
fn calls(own: bool) -> anyhow::Result<BpfProgram> {
    let refused = [
        // The network, also through io_uring.
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_io_uring_setup,
        // Other processes of the same user, the gateway among them.
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_rt_sigqueueinfo,
        libc::SYS_rt_tgsigqueueinfo,
        libc::SYS_pidfd_open,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        // Leaving the process group that is killed as one, its limits, or its namespaces.
        libc::SYS_setsid,
        libc::SYS_setpgid,
        libc::SYS_setrlimit,
        libc::SYS_unshare,
        libc::SYS_setns,
        // Memory outside of its address space.
        libc::SYS_memfd_create,
        libc::SYS_shmget,
        libc::SYS_msgget,
        libc::SYS_semget,
        libc::SYS_mq_open,
        // Calls that widen the kernel's attack surface and that no video needs.
        libc::SYS_bpf,
        libc::SYS_userfaultfd,
        libc::SYS_perf_event_open,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_fork,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_vfork,
    ];
    let by_name = BY_NAME.into_iter().filter(|_| own);
    #[cfg(target_arch = "x86_64")]
    let by_name = by_name.chain(
        [libc::SYS_open, libc::SYS_creat]
            .into_iter()
            .filter(|_| own),
    );
    let refused = refused.into_iter().chain(by_name);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        refused.map(|call| (call, Vec::new())).collect();
    // Calls that are refused depending on an argument: the argument's index, and when it is refused.
    let thread = u64::try_from(libc::CLONE_THREAD)?;
    let own = u64::from(std::process::id());
    for (call, argument, refused, value) in [
        // Threads are allowed, processes are not.
        (libc::SYS_clone, 0, SeccompCmpOp::MaskedEq(thread), 0),
        (libc::SYS_tgkill, 0, SeccompCmpOp::Ne, own),
        // Limits of another process; changes of its own limits.
        (libc::SYS_prlimit64, 0, SeccompCmpOp::Ne, 0),
        (libc::SYS_prlimit64, 2, SeccompCmpOp::Ne, 0),
    ] {
        let condition = SeccompCondition::new(argument, Qword, refused, value)?;
        let rule = SeccompRule::new(vec![condition])?;
        rules.entry(call).or_default().push(rule);
    }
    filter(rules, libc::EPERM)
}

/// `clone3` hides its flags from a filter. It answers "not implemented", so that libraries fall back on
/// `clone`.
fn thread_call() -> anyhow::Result<BpfProgram> {
    filter(
        BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
        libc::ENOSYS,
    )
}

fn filter(rules: BTreeMap<i64, Vec<SeccompRule>>, error: i32) -> anyhow::Result<BpfProgram> {
    let machine = TargetArch::try_from(std::env::consts::ARCH)?;
    let refuse = SeccompAction::Errno(error.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, machine)?;
    Ok(filter.try_into()?)
}
