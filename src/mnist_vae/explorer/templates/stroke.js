// Collect a stroke in the source `pen`, which is sent nowhere, and add it to `strokes` when it ends.
// A drag that begins with a pause is a press to Bokeh, and then moves. The second of two quick taps is a doubletap.
const BEGIN = ["panstart", "press", "tap", "doubletap"]
const END = ["panend", "pressup", "tap", "doubletap"]

let drawing = false

window.callbacks.stroke = ({pen, strokes}, {event_name: kind, x, y}) => {
  const {xs, ys} = pen.data
  if (BEGIN.includes(kind)) {
    drawing = true
    xs.splice(0, xs.length, [])
    ys.splice(0, ys.length, [])
  }
  if (!drawing) return
  if (x >= 0 && x <= 1 && y >= 0 && y <= 1) {
    xs[0].push(x)
    ys[0].push(y)
  }
  if (END.includes(kind)) {
    drawing = false
    const [drawn, heights] = [xs.pop(), ys.pop()]
    if (drawn.length) {
      strokes.data = {xs: [...strokes.get_array("xs"), drawn], ys: [...strokes.get_array("ys"), heights]}
    }
  }
  pen.change.emit()
}
