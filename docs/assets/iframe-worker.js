/* The site's search runs in a worker, which browsers refuse to a page opened from the disk. There an invisible frame
   takes the worker's place: it runs the same script and passes the same messages. */
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.srcdoc = "<!doctype html><title>search</title>"
      this.ready = new Promise(done => frame.addEventListener("load", done, { once: true })).then(() => {
        const inside = frame.contentWindow
        const load = src => new Promise((done, failed) => {
          const script = inside.document.createElement("script")
          Object.assign(script, { src, onload: done, onerror: failed })
          inside.document.body.append(script)
        })
        inside.importScripts = (...all) => all.reduce((before, src) => before.then(() => load(src)), Promise.resolve())
        inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
        this.frame = inside
        return load(String(url))
      })
      document.body.append(frame)
    }

    postMessage(data) {
      this.ready.then(() => this.frame.dispatchEvent(new this.frame.MessageEvent("message", { data })))
    }

    terminate() {}
  }
}
