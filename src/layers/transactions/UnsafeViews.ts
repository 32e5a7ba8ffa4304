import { decodeText } from "../../domain/bytes/decodeText.ts"
import { WriteKind } from "../../domain/transaction/WriteSet.ts"
import type { UnsafeReads } from "../../services/Database.ts"
import type { UnsafeTransactionSpace } from "../../services/Transaction.ts"
import type { TransactionReading } from "./TransactionReading.ts"
import type { TransactionSpaceView } from "./TransactionSpaces.ts"

/** The synchronous reads of a transaction in one keyspace. Getters that bind, as in `TransactionReading`. */
export class UnsafeReadsView implements UnsafeReads {
  private readonly reading: TransactionReading

  constructor(reading: TransactionReading) {
    this.reading = reading
  }

  get get(): UnsafeReads["get"] {
    return (key) => this.reading.point(key)
  }

  get getText(): UnsafeReads["getText"] {
    return (key) => {
      const value = this.reading.point(key)
      return value === undefined ? undefined : decodeText(value)
    }
  }

  get getMany(): UnsafeReads["getMany"] {
    return (keys) => this.reading.many(keys)
  }

  get has(): UnsafeReads["has"] {
    return (key) => this.reading.point(key) !== undefined
  }

  get entries(): UnsafeReads["entries"] {
    return (range) => this.reading.entries(range)
  }
}

export class UnsafeSpaceView extends UnsafeReadsView implements UnsafeTransactionSpace {
  private readonly space: TransactionSpaceView

  constructor(space: TransactionSpaceView) {
    super(space)
    this.space = space
  }

  get put(): UnsafeTransactionSpace["put"] {
    return (key, value, expiry) => this.space.putNow(key, value, expiry)
  }

  get delete(): UnsafeTransactionSpace["delete"] {
    return (key) => this.space.deleteNow(key)
  }

  get deleteRange(): UnsafeTransactionSpace["deleteRange"] {
    return (range) => this.space.addRange(WriteKind.deleteRange, range)
  }

  get write(): UnsafeTransactionSpace["write"] {
    return (operations) => this.space.writeNow(operations)
  }

  get peek(): UnsafeReads {
    return new UnsafeReadsView(this.space.peeking())
  }
}
