/**
 * Starts work ahead of its consumer and hands the results on in order, with a bound on how many are under way and on how many bytes they hold. One item larger than
 * the bound goes alone. (A semaphore over a concurrent stream can deadlock here: later items hold permits while the head waits for some.)
 */
export async function* prefetch<A, B>(
  items: AsyncIterable<A>,
  work: (item: A) => Promise<B>,
  options: { readonly itemsMax: number; readonly bytesMax: number; readonly bytesOf: (item: A) => number }
): AsyncGenerator<B, void, undefined> {
  const ahead: Array<{ readonly result: Promise<B>; readonly bytes: number }> = []
  let bytesAhead = 0
  const take = async (): Promise<B> => {
    const first = ahead.shift()!
    bytesAhead -= first.bytes
    return await first.result
  }
  for await (const item of items) {
    const bytes = options.bytesOf(item)
    while (ahead.length > 0 && (ahead.length >= options.itemsMax || bytesAhead + bytes > options.bytesMax)) yield await take()
    const result = work(item)
    // Its failure belongs to whoever takes it; until then it must not count as unhandled.
    result.catch(() => {})
    ahead.push({ result, bytes })
    bytesAhead += bytes
  }
  while (ahead.length > 0) yield await take()
}
