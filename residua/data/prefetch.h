#pragma once
// Numbered items made ahead by worker threads and handed out in order.

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace residua {

// `make(worker, i)` is called for every number of a run, each once, from one of the threads (worker
// 0 .. workers - 1; with no workers from the caller of next(), as worker 0). It may poll
// `cancelled()` and return anything once that is true: the item is dropped. What it throws is
// thrown by the next() that would have returned the item, and that item counts as handed out.
template <class Item>
class Prefetcher {
 public:
  using Make =
      std::function<Item(int64_t worker, int64_t number, const std::atomic<bool>& cancelled)>;

  // At most `depth` items (at least 1) are ready or in work at any time.
  Prefetcher(int64_t workers, int64_t depth, Make make)
      : make_(std::move(make)), slots_(static_cast<size_t>(std::max<int64_t>(depth, 1))) {
    for (int64_t worker = 0; worker < workers; ++worker)
      threads_.emplace_back([this, worker] { work(worker); });
  }

  ~Prefetcher() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
      cancelled_ = true;
    }
    work_there_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  // Begins to make items first .. last - 1. What was being made for an earlier run is finished and
  // dropped first.
  void start(int64_t first, int64_t last) {
    std::unique_lock lock(mutex_);
    last_ = first_to_make_;  // no new work of the old run
    cancelled_ = true;
    item_done_.wait(lock, [this] { return in_work_ == 0; });
    cancelled_ = false;
    for (Slot& slot : slots_) slot = {};
    first_to_make_ = next_ = first;
    last_ = std::max(first, last);
    lock.unlock();
    work_there_.notify_all();
  }

  // The next item, nothing after the last.
  std::optional<Item> next() {
    std::unique_lock lock(mutex_);
    if (next_ >= last_) return std::nullopt;
    if (threads_.empty()) {
      const int64_t number = next_++;
      first_to_make_ = next_;
      lock.unlock();
      return make_(0, number, cancelled_);
    }
    Slot& slot = slot_of(next_);
    item_done_.wait(lock, [&] { return slot.ready; });
    Slot taken = std::exchange(slot, {});
    ++next_;
    lock.unlock();
    work_there_.notify_one();
    if (taken.error) std::rethrow_exception(taken.error);
    return std::move(taken.item);
  }

 private:
  struct Slot {
    bool ready = false;
    std::optional<Item> item;
    std::exception_ptr error;
  };

  Slot& slot_of(int64_t number) { return slots_[static_cast<size_t>(number) % slots_.size()]; }

  bool may_begin() const {
    return first_to_make_ < last_ && first_to_make_ < next_ + static_cast<int64_t>(slots_.size());
  }

  void work(int64_t worker) {
    std::unique_lock lock(mutex_);
    while (true) {
      work_there_.wait(lock, [this] { return stop_ || may_begin(); });
      if (stop_) return;
      const int64_t number = first_to_make_++;
      ++in_work_;
      lock.unlock();
      Slot made = make_slot(worker, number);
      lock.lock();
      --in_work_;
      slot_of(number) = std::move(made);
      item_done_.notify_all();
    }
  }

  Slot make_slot(int64_t worker, int64_t number) {
    Slot slot{.ready = true, .item = {}, .error = {}};
    try {
      slot.item.emplace(make_(worker, number, cancelled_));
    } catch (...) {
      slot.error = std::current_exception();
    }
    return slot;
  }

  Make make_;
  std::mutex mutex_;
  std::condition_variable work_there_, item_done_;
  std::vector<Slot> slots_;
  int64_t first_to_make_ = 0, next_ = 0, last_ = 0;
  int64_t in_work_ = 0;
  bool stop_ = false;
  std::atomic<bool> cancelled_{false};
  std::vector<std::thread> threads_;  // last: the threads use everything above
};

}  // namespace residua
