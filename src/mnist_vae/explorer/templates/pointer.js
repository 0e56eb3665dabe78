// Write where the map is clicked or dragged to the source `pointer`; the next position only when the marker has followed
// the last one, so that positions do not queue up behind a slow decoder.
const PATIENCE = 500  // ms, since the marker does not change where it is already there

let pressed = false
let sent = -Infinity
let next = null

function send(pointer, force) {
  if (next === null || (!force && performance.now() - sent < PATIENCE)) return
  const position = next
  next = null
  sent = performance.now()
  pointer.data = {x: [position.x], y: [position.y]}
}

window.callbacks.pointer = ({pointer, marker}, event) => {
  if (event === marker) {  // it has changed
    sent = -Infinity
    send(pointer, false)
    return
  }
  const kind = event.event_name
  if (kind === "mousemove" && !pressed) return
  // A drag that begins with a pause is a press to Bokeh, and then moves.
  if (kind === "press") pressed = true
  if (kind === "pressup") pressed = false
  next = event
  send(pointer, kind !== "mousemove" && kind !== "pan")
}
