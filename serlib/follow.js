(() => {
  const box = document.currentScript.previousElementSibling, sound = box.querySelector("audio"), d = box.dataset;
  const line = box.querySelector("i"), width = d.right - d.left, seconds = d.to - d.from;
  const step = () => {
    line.style.visibility = "visible";
    line.style.left = 100 * (+d.left + width * (sound.currentTime - d.from) / seconds) + "%";
    if (!sound.paused) requestAnimationFrame(step);
  };
  sound.addEventListener("play", step);
  sound.addEventListener("seeked", step);
})()
