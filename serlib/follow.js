(() => {
  const box = document.currentScript.previousElementSibling, sound = box.querySelector("audio"), d = box.dataset;
  const line = box.querySelector("i"), width = d.right - d.left, seconds = d.to - d.from;
  const words = box.querySelectorAll("[data-start]");
  const step = () => {
    line.style.visibility = "visible";
    line.style.left = 100 * (+d.left + width * (sound.currentTime - d.from) / seconds) + "%";
    for (const word of words) {
      const now = sound.currentTime >= word.dataset.start && sound.currentTime < word.dataset.end;
      Object.assign(word.style, now ? { background: "#fd6", color: "#000" } : { background: "", color: "" });
    }
    if (!sound.paused) requestAnimationFrame(step);
  };
  sound.addEventListener("play", step);
  sound.addEventListener("seeked", step);
})()
