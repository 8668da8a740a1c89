/**
 * Restarts the process so that glibc requests huge pages for large allocations: training steps are up to a fifth faster,
 * because onnxruntime's arena then needs a fraction of the page table entries. glibc reads the setting only at its start.
 * Elsewhere this does nothing.
 */
export function restartWithHugePages(): void {
  const { env, execArgv, execPath, argv } = process;
  const tunables = env.GLIBC_TUNABLES ?? "";
  // A process with a channel to its parent would lose it.
  if (process.platform !== "linux" || !process.execve || process.send || tunables.includes(HUGE_PAGES)) return;
  const GLIBC_TUNABLES = [tunables, `${HUGE_PAGES}=1`].filter((part) => part !== "").join(":");
  process.execve(execPath, [execPath, ...execArgv, ...argv.slice(1)], { ...env, GLIBC_TUNABLES });
}

const HUGE_PAGES = "glibc.malloc.hugetlb";
