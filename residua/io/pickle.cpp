#include "residua/io/pickle.h"

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "residua/core/error.h"
#include "residua/io/bytes.h"
#include "residua/io/pickle_globals.h"

namespace residua {

namespace {

using Kind = PickleValue::Kind;

class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, const std::string& where)
      : bytes_(bytes), where_(where) {
    for (const auto& constant : {PickleValue{}, PickleValue{.kind = Kind::boolean, .integer = 0},
                                 PickleValue{.kind = Kind::boolean, .integer = 1}})
      pickle_.values.push_back(constant);
  }

  Pickle run() {
    while (!stopped_) step(take<uint8_t>());
    pickle_.size = position_;
    return std::move(pickle_);
  }

 private:
  static constexpr PickleId kNone = 0, kFalse = 1, kTrue = 2;

  [[noreturn]] void corrupt(const std::string& rule) const {
    throw Error(ErrorKind::corrupt_file,
                {.where = where_,
                 .rule = "the pickle " + rule + " at its byte " + std::to_string(position_)});
  }

  // --- input ---
  std::string_view take_text(uint64_t size) {
    if (size > bytes_.size() - position_) corrupt("is cut off");
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + position_, size);
    position_ += size;
    return text;
  }

  template <class Number>
  Number take() {
    return load_little<Number>(
        reinterpret_cast<const std::byte*>(take_text(sizeof(Number)).data()));
  }

  std::string_view take_line() {
    const char* begin = reinterpret_cast<const char*>(bytes_.data());
    const std::string_view rest(begin + position_, bytes_.size() - position_);
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) corrupt("is cut off");
    return take_text(end + 1).substr(0, end);
  }

  // --- stack ---
  void push(PickleId id) { stack_.push_back(id); }

  void push(PickleValue value) {
    charge(1);
    pickle_.values.push_back(std::move(value));
    push(static_cast<PickleId>(pickle_.values.size() - 1));
  }

  PickleId pop() {
    if (stack_.size() <= floor()) corrupt("takes a value that is not there");
    const PickleId id = stack_.back();
    stack_.pop_back();
    return id;
  }

  PickleId top() {
    if (stack_.size() <= floor()) corrupt("takes a value that is not there");
    return stack_.back();
  }

  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  std::vector<PickleId> pop_to_mark() {
    if (marks_.empty()) corrupt("takes a mark that is not there");
    std::vector<PickleId> items(stack_.begin() + static_cast<ptrdiff_t>(marks_.back()),
                                stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }

  std::vector<PickleId> pop_items(size_t count) {
    std::vector<PickleId> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }

  void charge(size_t count) {
    values_made_ += count;
    if (values_made_ > kMaxPickleValues)
      throw Error(ErrorKind::limit, {.where = where_,
                                     .rule = "the pickle has more than the " +
                                             std::to_string(kMaxPickleValues) + " values allowed"});
  }

  // --- memo ---
  void remember(uint32_t index) {
    const PickleId id = top();
    if (memo_.insert_or_assign(index, id).second) charge(1);
  }

  void recall(uint32_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) corrupt("recalls a value that it never remembered");
    push(found->second);
  }

  // --- containers ---
  PickleValue& container(Kind kind, const char* name) {
    PickleValue& value = pickle_.values[top()];
    if (value.kind != kind) corrupt(std::string("adds items to something that is no ") + name);
    return value;
  }

  void append(Kind kind, const char* name, const std::vector<PickleId>& items) {
    if (kind == Kind::dict && items.size() % 2 != 0) corrupt("has a key without a value");
    std::vector<PickleId>& into = container(kind, name).items;
    into.insert(into.end(), items.begin(), items.end());
  }

  void push_container(Kind kind, std::vector<PickleId> items) {
    if (kind == Kind::dict && items.size() % 2 != 0) corrupt("has a key without a value");
    push(PickleValue{.kind = kind, .items = std::move(items)});
  }

  // --- values ---
  void push_text(Kind kind, uint64_t size) {
    push(PickleValue{.kind = kind, .text = take_text(size)});
  }
  void push_integer(int64_t value) { push(PickleValue{.kind = Kind::integer, .integer = value}); }

  void push_long(uint64_t size) {
    const std::string_view digits = take_text(size);  // two's complement, little-endian
    if (size > 8) return push(PickleValue{.kind = Kind::big_integer, .text = digits});
    uint64_t value = size > 0 && (digits.back() & 0x80) != 0 ? ~uint64_t{0} : 0;
    for (size_t i = size; i-- > 0;) value = value << 8 | static_cast<uint8_t>(digits[i]);
    push_integer(static_cast<int64_t>(value));
  }

  void push_real() {
    uint64_t bits = 0;  // big-endian
    for (const char c : take_text(8)) bits = bits << 8 | static_cast<uint8_t>(c);
    push(PickleValue{.kind = Kind::real, .real = std::bit_cast<double>(bits)});
  }

  // --- objects ---
  void push_global(std::string_view module, std::string_view name) {
    const auto index = static_cast<int64_t>(find_pickle_global(module, name, where_));
    const PickleGlobal& global = pickle_global(static_cast<size_t>(index));
    if (global.role == PickleRole::dtype)
      return push(PickleValue{.kind = Kind::dtype, .integer = static_cast<int64_t>(*global.dtype)});
    push(PickleValue{.kind = Kind::global, .integer = index});
  }

  void stack_global() {
    const PickleId name = pop(), module = pop();
    if (pickle_[name].kind != Kind::text || pickle_[module].kind != Kind::text)
      corrupt("names a global by something else than text");
    push_global(pickle_[module].text, pickle_[name].text);
  }

  void reduce() {
    const PickleId args = pop(), callee = pop();
    if (pickle_[callee].kind != Kind::global || pickle_[args].kind != Kind::tuple)
      corrupt("calls something that cannot be called");
    const PickleGlobal& global = pickle_global(static_cast<size_t>(pickle_[callee].integer));
    PickleValue value = apply_pickle_global(pickle_, global, args, where_);
    // A short call may copy a long list; a tensor weighs as much as several other values.
    charge(value.items.size() + (value.kind == Kind::tensor ? 7 : 0));
    push(std::move(value));
  }

  // Attributes, of which an OrderedDict has some that matter to PyTorch alone (`_metadata`).
  void build() {
    const PickleId state = pop();
    const PickleValue& target = pickle_[top()];
    if (target.kind == Kind::dict && target.ordered_dict && pickle_[state].kind == Kind::dict)
      return;
    if (target.kind == Kind::numpy_dtype && pickle_[state].kind == Kind::tuple)
      return check_numpy_order(state);
    throw Error(
        ErrorKind::unsupported,
        {.where = where_,
         .rule = "the pickle sets the state (BUILD) of something else than an OrderedDict"});
  }

  void check_numpy_order(PickleId state) const {
    const std::vector<PickleId>& items = pickle_[state].items;  // (version, byte order, ...)
    const bool native = items.size() > 1 && pickle_[items[1]].kind == Kind::text &&
                        (pickle_[items[1]].text == "<" || pickle_[items[1]].text == "|");
    if (!native)
      throw Error(ErrorKind::unsupported,
                  {.where = where_, .rule = "a NumPy scalar is not little-endian"});
  }

  void step(uint8_t opcode);

  std::span<const std::byte> bytes_;
  const std::string& where_;
  size_t position_ = 0, values_made_ = 0;
  bool stopped_ = false;
  Pickle pickle_;
  std::vector<PickleId> stack_;
  std::vector<size_t> marks_;  // stack heights
  std::unordered_map<uint32_t, PickleId> memo_;
};

// Opcodes by Python's Lib/pickletools.py.
void PickleMachine::step(uint8_t opcode) {
  switch (opcode) {
    case 0x80:  // PROTO
      if (const auto protocol = take<uint8_t>(); protocol < 2 || protocol > 5)
        throw Error(ErrorKind::unsupported,
                    {.where = where_,
                     .rule = "the pickle is of protocol " + std::to_string(protocol),
                     .expected = "2 to 5"});
      return;
    case 0x95: take<uint64_t>(); return;  // FRAME: a hint for readers of streams
    case '.':
      pickle_.root = pop();
      stopped_ = true;
      return;

    case '(': marks_.push_back(stack_.size()); return;
    case '0':  // POP, which removes a mark when nothing lies above it
      if (!marks_.empty() && marks_.back() == stack_.size()) return marks_.pop_back();
      pop();
      return;
    case '1': pop_to_mark(); return;
    case '2': push(top()); return;

    case 'N': return push(kNone);
    case 0x88: return push(kTrue);
    case 0x89: return push(kFalse);
    case 'K': return push_integer(take<uint8_t>());
    case 'M': return push_integer(take<uint16_t>());
    case 'J': return push_integer(take<int32_t>());
    case 0x8a: return push_long(take<uint8_t>());
    case 0x8b: return push_long(take<uint32_t>());
    case 'G': return push_real();

    case 'U': return push_text(Kind::text, take<uint8_t>());    // SHORT_BINSTRING, text of Python 2
    case 'T': return push_text(Kind::text, take<uint32_t>());   // BINSTRING
    case 'X': return push_text(Kind::text, take<uint32_t>());   // BINUNICODE
    case 0x8c: return push_text(Kind::text, take<uint8_t>());   // SHORT_BINUNICODE
    case 0x8d: return push_text(Kind::text, take<uint64_t>());  // BINUNICODE8
    case 'C': return push_text(Kind::bytes, take<uint8_t>());   // SHORT_BINBYTES
    case 'B': return push_text(Kind::bytes, take<uint32_t>());  // BINBYTES
    case 0x8e: return push_text(Kind::bytes, take<uint64_t>());  // BINBYTES8
    case 0x96: return push_text(Kind::bytes, take<uint64_t>());  // BYTEARRAY8

    case ']': return push_container(Kind::list, {});
    case 'l': return push_container(Kind::list, pop_to_mark());
    case 'a': {
      const PickleId item = pop();
      return append(Kind::list, "list", {item});
    }
    case 'e': return append(Kind::list, "list", pop_to_mark());
    case ')': return push_container(Kind::tuple, {});
    case 't': return push_container(Kind::tuple, pop_to_mark());
    case 0x85: return push_container(Kind::tuple, pop_items(1));
    case 0x86: return push_container(Kind::tuple, pop_items(2));
    case 0x87: return push_container(Kind::tuple, pop_items(3));
    case '}': return push_container(Kind::dict, {});
    case 'd': return push_container(Kind::dict, pop_to_mark());
    case 's': return append(Kind::dict, "dict", pop_items(2));
    case 'u': return append(Kind::dict, "dict", pop_to_mark());
    case 0x8f: return push_container(Kind::set, {});
    case 0x90: return append(Kind::set, "set", pop_to_mark());
    case 0x91: return push_container(Kind::set, pop_to_mark());  // FROZENSET

    case 'h': return recall(take<uint8_t>());
    case 'j': return recall(take<uint32_t>());
    case 'q': return remember(take<uint8_t>());
    case 'r': return remember(take<uint32_t>());
    case 0x94: return remember(static_cast<uint32_t>(memo_.size()));  // MEMOIZE

    case 'c': {
      const std::string_view module = take_line();
      return push_global(module, take_line());
    }
    case 0x93: return stack_global();
    case 'R':  // REDUCE
    case 0x81:
      return reduce();  // NEWOBJ: an OrderedDict made without its constructor is the same value
    case 'b': return build();
    case 'Q': return push(pickle_storage(pickle_, pop(), where_));
    default:
      throw Error(ErrorKind::unsupported,
                  {.where = where_,
                   .rule = "the pickle uses opcode " + std::to_string(opcode) + " at its byte " +
                           std::to_string(position_ - 1) + ", which tensors never need"});
  }
}

}  // namespace

Pickle parse_pickle(std::span<const std::byte> bytes, const std::string& where) {
  return PickleMachine(bytes, where).run();
}

}  // namespace residua
