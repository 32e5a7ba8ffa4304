/**
 * Records of CSV by RFC 4180, from bytes as they come: fields may stand in quotes, in which the separator and line breaks are text and a doubled quote is one; records end with LF or
 * CRLF, the last one may do without. What the RFC does not allow is named, not guessed at; the next record begins after the line that it is on.
 */
import { formatBytes } from "../format/numbers.ts"

export interface CsvRecord {
  /** Without quotes. Views of the input, which is not written over later, or memory of their own. */
  readonly fields: ReadonlyArray<Uint8Array>
  /** From 1: where the record begins, or where the fault is. */
  readonly line: number
  /** Bytes of the input up to the end of the record, and lines. */
  readonly end: number
  readonly lines: number
  readonly fault?: string | undefined
}

const quote = 34
const lineFeed = 10
const carriageReturn = 13

type State = "fieldStart" | "plain" | "quoted" | "afterQuote" | "afterReturn" | "broken"

const none = new Uint8Array(0)

const stops = (bytes: ReadonlyArray<number>): Uint8Array => {
  const table = new Uint8Array(256)
  for (const byte of bytes) table[byte] = 1
  return table
}
const stopsQuoted = stops([quote, lineFeed])

export interface CsvOptions {
  readonly separator: "," | "\t"
  readonly recordBytesMax: number
  /** Where the input begins: bytes and lines before it. */
  readonly from: { readonly end: number; readonly line: number }
}

/** Holds the record that is not yet complete, and one chunk. */
export class CsvReader {
  readonly #separator: number
  readonly #stopsPlain: Uint8Array
  readonly #recordBytesMax: number
  #buffer: Uint8Array = none
  /** Of the input, where the buffer begins. */
  #offset: number
  /** In the buffer: the unfinished record, what is looked at next, the end of the input so far. */
  #start = 0
  #at = 0
  #end = 0
  #state: State = "fieldStart"
  /** Of the fields so far: where each begins and ends, counted from the start of the record; -1 - end where it holds doubled quotes. */
  #bounds: Array<number> = []
  #fieldFrom = 0
  #fieldTo = 0
  #doubled = false
  #quotes = false
  #line: number
  #recordLine: number
  #quoteLine = 0
  #fault: string | undefined
  #tooLong = false
  #records: Array<CsvRecord> = []

  constructor(options: CsvOptions) {
    this.#separator = options.separator.charCodeAt(0)
    this.#stopsPlain = stops([this.#separator, lineFeed, quote])
    this.#recordBytesMax = options.recordBytesMax
    this.#offset = options.from.end
    this.#line = options.from.line + 1
    this.#recordLine = this.#line
  }

  /** Takes the next chunk, which must not be written over later, and returns the records that end in it. */
  push(chunk: Uint8Array): Array<CsvRecord> {
    this.#append(chunk)
    this.#scan()
    const held = this.#at - this.#start
    if (held > this.#recordBytesMax && !this.#tooLong) this.#tooLong = true
    // Only the state is kept of a record that is too long: what the quotes say is still needed to find its end.
    if (this.#tooLong) this.#start = this.#at
    return this.#taken()
  }

  /** The input has ended: returns the last record, where it has no line break. */
  finish(): Array<CsvRecord> {
    if (this.#state === "quoted") {
      this.#fault ??= "the quote that opens here is never closed"
      this.#recordLine = this.#quoteLine
      this.#endRecord(this.#at)
    } else if (this.#state === "plain") this.#endPlain(this.#at)
    else if (this.#state === "afterQuote" || this.#state === "afterReturn") this.#endField(this.#fieldTo)
    else if (this.#state === "fieldStart" && this.#bounds.length > 0) {
      this.#fieldFrom = this.#at - this.#start
      this.#endField(this.#at)
    }
    if (this.#bounds.length > 0 || this.#fault !== undefined || this.#tooLong) this.#endRecord(this.#at)
    return this.#taken()
  }

  #taken(): Array<CsvRecord> {
    const records = this.#records
    this.#records = []
    return records
  }

  #append(chunk: Uint8Array): void {
    const rest = this.#end - this.#start
    if (rest > 0 && this.#buffer.length - this.#end >= chunk.length) {
      this.#buffer.set(chunk, this.#end)
      this.#end += chunk.length
      return
    }
    this.#offset += this.#start
    this.#at -= this.#start
    this.#fieldTo -= this.#start
    if (rest === 0) this.#buffer = chunk
    else {
      // A record over many chunks is not copied again with each of them.
      const bytes = rest + chunk.length
      const buffer = new Uint8Array(rest > chunk.length ? 2 * bytes : bytes)
      buffer.set(this.#buffer.subarray(this.#start, this.#end))
      buffer.set(chunk, rest)
      this.#buffer = buffer
    }
    this.#start = 0
    this.#end = rest + chunk.length
  }

  #scan(): void {
    const buffer = this.#buffer
    const end = this.#end
    const stopsPlain = this.#stopsPlain
    while (this.#at < end) {
      let at = this.#at
      switch (this.#state) {
        case "fieldStart":
          if (buffer[at] === quote) {
            this.#state = "quoted"
            this.#quoteLine = this.#line
            this.#quotes = true
            at++
          } else this.#state = "plain"
          this.#doubled = false
          this.#fieldFrom = at - this.#start
          this.#at = at
          break
        case "plain":
          while (at < end && stopsPlain[buffer[at]!] === 0) at++
          this.#at = at
          if (at === end) break
          if (buffer[at] === this.#separator) {
            this.#endField(at)
            this.#at++
          } else if (buffer[at] === lineFeed) {
            this.#endPlain(at)
            this.#line++
            this.#endRecord(at + 1)
          } else this.#break(`field ${this.#fieldNumber()} holds a quote and does not begin with one`)
          break
        case "quoted":
          while (at < end && stopsQuoted[buffer[at]!] === 0) at++
          this.#at = at
          if (at === end) break
          if (buffer[at] === lineFeed) this.#line++
          else {
            this.#fieldTo = at
            this.#state = "afterQuote"
          }
          this.#at++
          break
        case "afterQuote":
          if (buffer[at] === quote) {
            this.#doubled = true
            this.#state = "quoted"
          } else if (buffer[at] === this.#separator) this.#endField(this.#fieldTo)
          else if (buffer[at] === lineFeed) this.#endQuoted(at)
          else if (buffer[at] === carriageReturn) this.#state = "afterReturn"
          else {
            this.#break(`there is text after the closing quote of field ${this.#fieldNumber()}`)
            break
          }
          this.#at = at + 1
          break
        case "afterReturn":
          if (buffer[at] === lineFeed) {
            this.#endQuoted(at)
            this.#at = at + 1
          } else this.#break(`there is text after the closing quote of field ${this.#fieldNumber()}`)
          break
        case "broken": {
          const found = buffer.subarray(0, end).indexOf(lineFeed, at)
          this.#at = found < 0 ? end : found + 1
          if (found < 0) break
          this.#line++
          this.#endRecord(found + 1)
        }
      }
    }
  }

  #fieldNumber(): number {
    return this.#bounds.length / 2 + 1
  }

  #break(fault: string): void {
    this.#fault ??= fault
    this.#recordLine = this.#line
    this.#state = "broken"
  }

  #endField(to: number): void {
    const end = to - this.#start
    this.#bounds.push(this.#fieldFrom, this.#doubled ? -1 - end : end)
    this.#state = "fieldStart"
  }

  /** Without the return of a CRLF. */
  #endPlain(to: number): void {
    this.#endField(to - this.#start > this.#fieldFrom && this.#buffer[to - 1] === carriageReturn ? to - 1 : to)
  }

  #endQuoted(at: number): void {
    this.#endField(this.#fieldTo)
    this.#line++
    this.#endRecord(at + 1)
  }

  #endRecord(to: number): void {
    const fault = this.#tooLong
      ? `the record is longer than ${formatBytes(this.#recordBytesMax)}${this.#quotes ? "; is a quote not closed?" : ""}`
      : this.#fault
    const fields = fault === undefined ? this.#fields() : []
    // An empty line is no record.
    if (fault !== undefined || fields.length > 1 || fields[0]!.length > 0 || this.#quotes)
      this.#records.push({ fields, line: this.#recordLine, end: this.#offset + to, lines: this.#line - 1, fault })
    this.#state = "fieldStart"
    this.#bounds = []
    this.#fault = undefined
    this.#tooLong = false
    this.#quotes = false
    this.#start = to
    this.#at = to
    this.#recordLine = this.#line
  }

  #fields(): Array<Uint8Array> {
    const fields: Array<Uint8Array> = []
    const start = this.#start
    for (let i = 0; i < this.#bounds.length; i += 2) {
      const to = this.#bounds[i + 1]!
      const view = this.#buffer.subarray(start + this.#bounds[i]!, start + (to < 0 ? -1 - to : to))
      fields.push(to < 0 ? withoutDoubles(view) : view)
    }
    return fields
  }
}

const withoutDoubles = (field: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(field.length)
  let to = 0
  for (let at = 0; at < field.length; at++) {
    bytes[to++] = field[at]!
    if (field[at] === quote) at++
  }
  return bytes.subarray(0, to)
}
