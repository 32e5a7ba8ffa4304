/** Exit codes of `lightning`. They are documented in docs/cli.md and do not change their meaning. */
export const ExitCode = {
  ok: 0,
  /** Something failed that has no code of its own: a refused write, an unreadable file, malformed input. */
  failure: 1,
  /** The command line itself is wrong: nothing was opened or changed. */
  usage: 2,
  /** The database is fine, but the key or the keyspace asked for is not there. */
  notFound: 3,
  /** Another process has the database open for writing. */
  locked: 4,
  /** Stored bytes are damaged. */
  corrupt: 5,
  /** Stopped by Ctrl-C or SIGTERM, cleanly: what was reported as stored is stored. */
  interrupted: 130
} as const

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]
