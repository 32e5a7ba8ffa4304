/** The rest of an input is of no use: it cannot be read, its compressed stream is damaged, its header says nothing. It stops an import whatever `--on-error` says. */
export class InputFault extends Error {
  readonly file: string
  readonly reason: string
  readonly line: number | undefined

  constructor(file: string, reason: string, line?: number) {
    super(`${file}: ${reason}`)
    this.file = file
    this.reason = reason
    this.line = line
  }
}
