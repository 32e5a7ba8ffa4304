/** Has it run later, once, however often that is asked for until then. */
export const onceAsked = (later: (run: () => void) => void, run: () => void): (() => void) => {
  let isAsked = false
  const runNow = () => {
    isAsked = false
    run()
  }
  return () => {
    if (isAsked) return
    isAsked = true
    later(runNow)
  }
}
