/**
 * Runs `load` without the warning that SQLite is experimental, which Node 22 prints when the module is first asked for; every other warning passes. The
 * embedder of a database should not find a line on its standard error for a file lock.
 */
export const withoutSqliteWarning = <A>(load: () => A): A => {
  const emitWarning = process.emitWarning
  const filtered = (warning: string | Error, ...rest: ReadonlyArray<unknown>): void => {
    const text = typeof warning === "string" ? warning : warning.message
    if (!text.includes("SQLite is an experimental feature")) Reflect.apply(emitWarning, process, [warning, ...rest])
  }
  process.emitWarning = filtered
  try {
    return load()
  } finally {
    process.emitWarning = emitWarning
  }
}
