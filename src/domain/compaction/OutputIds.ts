/** The file ids a job was given for its outputs, used in order. */
export class OutputIds {
  readonly #ids: ReadonlyArray<number>
  #used = 0

  constructor(ids: ReadonlyArray<number>) {
    this.#ids = ids
  }

  take(): number {
    const id = this.#ids[this.#used]
    if (id === undefined) throw new RangeError(`the job needs more than the ${this.#ids.length} output ids it was given`)
    this.#used++
    return id
  }
}
