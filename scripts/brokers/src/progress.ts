export interface Progress {
  /** A line that stays. */
  say(text: string): void
  done(name: string): void
  end(): void
}

/** What is still awaited, and for how long, in one line that goes away. Nothing but `say` where stderr is no terminal. */
export function progress(names: readonly string[]): Progress {
  const open = new Set(names)
  const start = performance.now()
  const live = process.stderr.isTTY
  const clear = (): void => {
    if (live) process.stderr.write('\r\x1b[K')
  }
  const draw = (): void => {
    clear()
    const seconds = ((performance.now() - start) / 1000).toFixed(0)
    if (live && open.size > 0) process.stderr.write(`starting ${[...open].join(', ')} (${seconds} s)`)
  }
  const timer = live ? setInterval(draw, 250) : undefined
  draw()
  return {
    say(text) {
      clear()
      console.error(text)
      draw()
    },
    done(name) {
      open.delete(name)
      draw()
    },
    end() {
      clearInterval(timer)
      clear()
    },
  }
}
