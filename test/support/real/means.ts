/**
 * What this machine lets a test do. A test that cannot be run says so loudly: in its name, on the console, and in the file that `LIGHTNING_SKIPPED` names, from which CI prints them all
 * at its end.
 */
import { spawnSync } from "node:child_process"
import { appendFileSync } from "node:fs"
import { it } from "vitest"

/** Undefined where it can be done; otherwise why not. */
export type Missing = string | undefined

const says = (program: string, ...args: ReadonlyArray<string>): Missing => {
  const { error, status, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: 20_000 })
  if (error !== undefined) return `${program}: ${"code" in error && error.code === "ENOENT" ? "not installed" : error.message}`
  return status === 0 ? undefined : `${program} fails: ${stderr.trim().split("\n")[0] ?? ""}`
}

export const isRoot = process.getuid?.() === 0

const once = <A>(find: () => A): (() => A) => {
  let found: { readonly value: A } | undefined
  return () => (found ??= { value: find() }).value
}

const linuxOnly = (find: () => Missing) => once(() => (process.platform === "linux" ? find() : `${process.platform} is not Linux`))

/** System calls of a child can be counted, failed and made fatal. */
export const strace = linuxOnly(() => says("strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=chroot:error=EIO:when=1", "true"))

/** What comes before a program that is to have mounts of its own. */
export const ownMounts: ReadonlyArray<string> = ["unshare", ...(isRoot ? ["-m"] : ["-r", "-m"])]

export const mounts = linuxOnly(() => {
  const [program, ...args] = ownMounts
  return says(program!, ...args, "sh", "-c", "mount -t tmpfs -o size=1m none /mnt")
})

/** Before a program that must obey permissions, which root does not. */
export const asNobody: ReadonlyArray<string> = isRoot ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : []
export const nobody = linuxOnly(() => (isRoot ? says(asNobody[0]!, ...asNobody.slice(1), "true") : undefined))

export const procStatus = linuxOnly(() => undefined)
export const shell = linuxOnly(() => says("sh", "-c", "ulimit -n 64"))

/** A test that needs something of the machine. */
export const realTest = (name: string, missing: Missing, run: () => Promise<void>, timeoutMs = 60_000): void => {
  if (missing === undefined) {
    it(name, run, timeoutMs)
    return
  }
  console.log(`SKIPPED: ${name}: ${missing}`)
  const list = process.env["LIGHTNING_SKIPPED"]
  if (list !== undefined) appendFileSync(list, `${name}: ${missing}\n`)
  it.skipIf(true)(`${name} [SKIPPED: ${missing}]`, run)
}
